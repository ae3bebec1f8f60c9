import Numerics
import Synchronization
import Vision

/// k-NN on the pixels themselves, what features are compared with.
///
/// Rows are as long as pictures are large, so neither side is ever there as floats. Queries stay as bytes, so many as
/// `queryBytes` holds; the bank passes in tiles of pictures, decoded, compared and forgotten. More queries than that are
/// asked in several passes, for each of which the bank is read again.
public struct PixelNeighbors: Sendable {
  private let neighbors: NearestNeighbors
  private let normalization: Normalization
  private let side: Int
  private let upright: Bool

  /// Bytes of queries that are held at once.
  static let queryBytes = 256 << 20
  /// Pictures of a tile.
  static let together = 128
  /// Numbers of each picture that are floats at once: whole pixels.
  static let columns = 3072

  /// - Parameters:
  ///   - side: of the squares that are compared, in pixels.
  ///   - upright: turns pictures as their EXIF data say.
  public init(_ neighbors: NearestNeighbors, _ normalization: Normalization, side: Int, upright: Bool = false) {
    self.neighbors = neighbors
    self.normalization = normalization
    self.side = side
    self.upright = upright
  }

  /// Queries of one pass: whole tiles.
  static func queriesAPass(side: Int) -> Int { max(1, queryBytes / (3 * side * side * together)) * together }

  /// How often a picture is read in all.
  public static func reads(bank: Int, queries: Int, side: Int) -> Int {
    let pass = queriesAPass(side: side)
    return queries + (queries + pass - 1) / pass * bank
  }

  /// A tile of pictures.
  private struct Tile: Sendable {
    /// By place in the tile; nil for one that is skipped.
    var levels: [[UInt8]?]
    /// One over each row's length.
    var factors: [Float]
  }

  /// - Parameters:
  ///   - truth: as for `NearestNeighbors.score`.
  ///   - done: told how many more pictures were read, by any thread.
  /// - Returns: the score, and what was skipped of the bank and of the queries, by place.
  public func score(
    bank: LabelledPictures, queries: LabelledPictures, truth: [Int?], threads: Int,
    done: @Sendable (Int) -> Void = { _ in }
  ) throws -> (score: NearestNeighbors.Score, bank: [Int: SkippedPicture], queries: [Int: SkippedPicture]) {
    var score = NearestNeighbors.Score(counts: neighbors.counts.count)
    let skippedOfBank = Mutex<[Int: SkippedPicture]>([:])
    let skippedOfQueries = Mutex<[Int: SkippedPicture]>([:])
    let (together, kept) = (Self.together, neighbors.kept)
    let pass = Self.queriesAPass(side: side)
    for first in stride(from: 0, to: queries.count, by: pass) {
      // 1. The pass's queries.
      let asked = first..<min(first + pass, queries.count)
      let tiles = (asked.count + together - 1) / together
      let read = Mutex([Tile?](repeating: nil, count: tiles))
      try SharedWork(pieces: tiles).run(threads: threads) { next in
        while let tile = next() {
          let start = first + tile * together
          let range = start..<min(start + together, asked.upperBound)
          let found = try self.tile(range, of: queries, skipped: skippedOfQueries)
          read.withLock { $0[tile] = found }
          done(range.count)
        }
      }
      let queryTiles = read.withLock { $0.compactMap(\.self) }

      // 2. The bank, a tile after the other past all of them. Lists take what is offered in any order.
      let nearest = queryTiles.map { Shelf($0.levels.map { _ in Nearest(atMost: kept) }) }
      try SharedWork(pieces: (bank.count + together - 1) / together).run(threads: threads) { next in
        let (left, right) = (FloatBuffer(count: together * Self.columns), FloatBuffer(count: together * Self.columns))
        let products = FloatBuffer(count: asked.count * together)
        while let piece = next() {
          let range = piece * together..<min((piece + 1) * together, bank.count)
          let voters = try tile(range, of: bank, skipped: skippedOfBank)
          multiply(queryTiles, voters, left, right, into: products)
          for (tile, queries) in queryTiles.enumerated() {
            nearest[tile].lists.withLock { lists in
              for row in queries.levels.indices where queries.levels[row] != nil {
                let products = products.vector(at: (tile * together + row) * range.count, count: range.count)
                for voter in 0..<range.count { products[voter] *= queries.factors[row] * voters.factors[voter] }
                lists[row].offer(products, from: range.lowerBound) { voters.levels[$0 - range.lowerBound] != nil }
              }
            }
          }
          done(range.count)
        }
      }

      // 3. The votes.
      for (tile, queries) in queryTiles.enumerated() {
        let lists = nearest[tile].lists.withLock { $0 }
        for row in queries.levels.indices where queries.levels[row] != nil {
          neighbors.add(lists[row], truth: truth[first + tile * together + row], to: &score)
        }
      }
    }
    return (score, skippedOfBank.withLock { $0 }, skippedOfQueries.withLock { $0 })
  }

  /// The lists of a tile's queries.
  private final class Shelf: Sendable {
    let lists: Mutex<[Nearest]>
    init(_ lists: [Nearest]) { self.lists = Mutex(lists) }
  }

  private func tile(
    _ range: Range<Int>, of pictures: LabelledPictures, skipped: borrowing Mutex<[Int: SkippedPicture]>
  ) throws -> Tile {
    var resampler = Resampler()
    var tile = Tile(levels: [], factors: [])
    for place in range {
      do {
        let levels = try pictures.selection.square(place, upright: upright, side: side, &resampler)
        tile.factors.append(1 / max(Float(normalization.length(of: levels)), shortestRow))
        tile.levels.append(levels)
      } catch let picture as SkippedPicture {
        skipped.withLock { $0[place] = picture }
        tile.factors.append(0)
        tile.levels.append(nil)
      }
    }
    return tile
  }

  /// The products of all queries' rows with all voters', a few columns after the other.
  private func multiply(
    _ queries: [Tile], _ voters: Tile, _ left: FloatBuffer, _ right: FloatBuffer, into products: FloatBuffer
  ) {
    let width = 3 * side * side
    let count = voters.levels.count
    for start in stride(from: 0, to: width, by: Self.columns) {
      let columns = start..<min(start + Self.columns, width)
      let bank = right.matrix(rows: count, columns: columns.count)
      write(voters, columns, into: bank)
      for (tile, queries) in queries.enumerated() {
        let rows = left.matrix(rows: queries.levels.count, columns: columns.count)
        write(queries, columns, into: rows)
        let result = products.matrix(at: tile * Self.together * count, rows: rows.rows, columns: count)
        Numerics.multiply(rows, .asIs, bank, .transposed, keep: start == 0 ? 0 : 1, into: result)
      }
    }
  }

  private func write(_ tile: Tile, _ columns: Range<Int>, into rows: Matrix) {
    for (row, levels) in tile.levels.enumerated() {
      if let levels {
        normalization.write(interleaved: levels[columns], into: rows.row(at: row))
      } else {
        fill(rows.row(at: row), with: 0)
      }
    }
  }
}
