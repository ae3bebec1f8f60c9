import MemoryBank
import Messages
import Numerics
import Training

/// A step's memory blocks, and which of their rows are still to come.
///
/// What a cache has, or can compute, is there from the beginning. The others are asked for by the version of the memory,
/// of all their holders at once.
package struct StepBlocks: Sendable {
  let version: MemoryVersion
  /// `[blocks * blockSize, width]`, as products read it.
  let memory: FloatBuffer
  /// What is not in `memory` yet, a bit a position, block by block.
  package private(set) var missing: [[UInt8]] = []
  /// What it cost so far, but for waiting.
  package private(set) var traffic = StepTraffic()
  private let draw: BlockDraw
  private let width: Int
  private let rowType: RowType
  private let precision: Precision
  /// A row's floats, before a block of bf16 has them.
  private let room: FloatBuffer

  /// - Parameter memory: `run.blockFloats` floats, filled as far as the cache goes.
  init(_ run: RunDefinition, of version: MemoryVersion, from cache: RowCache, into memory: FloatBuffer) {
    (self.version, self.memory) = (version, memory)
    draw = run.blockDraw(of: version)
    width = run.configuration.bottleneckDim
    rowType = run.rowType
    precision = run.precision
    room = FloatBuffer(count: width)
    let hits = cache.hits
    missing = (0..<draw.blockCount).map {
      cache.gather(draw, block: $0, positions: 0..<draw.blockSize, into: values($0))
    }
    traffic.cached = cache.hits - hits
  }

  /// Bytes of a row as it is stored.
  private var rowSize: Int { width * rowType.bytes }

  /// A block's part of `memory`, `[blockSize, width]`.
  private func values(_ block: Int) -> Factor {
    memory.factor(at: block * draw.blockSize * width, rows: draw.blockSize, columns: width, precision: precision)
  }

  /// Reads what is missing and is in this store.
  /// - Throws: what reading throws.
  mutating func read(from store: RowStore) throws {
    for block in missing.indices {
      let positions = missing[block].setBits
      let numbers = draw.rows(block: block, at: positions)
      let here = zip(positions, zip(numbers, store.areHere(numbers))).compactMap {
        $1.1 ? (position: $0, number: $1.0) : nil
      }
      var found = [UInt8](repeating: 0, count: here.count * rowSize)
      try found.withUnsafeMutableBytes { found in
        try store.read(here.map(\.number), into: found)
        for (index, position) in here.map(\.position).enumerated() {
          let row = UnsafeRawBufferPointer(rebasing: found[(index * rowSize)..<((index + 1) * rowSize)])
          values(block).writeRow(position, room: room.vector) { rowType.load(row, into: $0) }
          missing[block].clearBit(position)
        }
      }
    }
  }

  /// Takes what is missing of these rows into the blocks, and all of them into the cache.
  mutating func take(_ rows: NewRows, keeping cache: RowCache) {
    rows.stored.withBytes(of: 0..<rows.stored.count) { bytes in
      for block in missing.indices {
        let positions = missing[block].setBits
        for (position, number) in zip(positions, draw.rows(block: block, at: positions))
        where rows.numbers.contains(number) {
          let place = (number - rows.numbers.lowerBound) * rowSize
          let row = UnsafeRawBufferPointer(rebasing: bytes[place..<(place + rowSize)])
          values(block).writeRow(position, room: room.vector) { rowType.load(row, into: $0) }
          missing[block].clearBit(position)
          traffic.fetched += 1
        }
      }
      cache.insert(bytes, numbers: rows.numbers)
    }
  }

  /// Fetches what is missing of the rows below `known` into the blocks, and into the cache. If it throws, all of it is
  /// still missing.
  /// - Parameter check: called again and again; throws once the rows are of no use any more.
  /// - Throws: `BulkError`, `WireError`, what `check` throws.
  mutating func fetch(
    below known: Int, from holders: RowHolders, keeping cache: RowCache, unless check: () throws -> Void = {}
  ) throws {
    var left = missing
    let table = holders.table
    var pieces: [(request: RowRequest, holders: [BulkClient])] = []
    for block in left.indices { pieces += try self.pieces(block, &left[block], below: known, from: holders, table) }
    var fetch = PieceFetch(pieces.map { PieceFetch.Piece(request: .rows($0.request), holders: $0.holders) }, .rows)
    defer { holders.avoid(fetch.slow) }
    try fetch.run(unless: check) { piece, reply, frame, endpoint in
      let request = pieces[piece].request
      guard reply == request.reply, let frame, frame.count == request.rows * rowSize else {
        throw BulkError.otherBits("memory rows", from: endpoint)
      }
      frame.withBytes {
        cache.insert(
          $0, request.missing, of: draw, block: request.block, positions: request.positions,
          into: values(request.block))
      }
    }
    missing = left
    traffic.fetched += pieces.reduce(0) { $0 + $1.request.rows }
  }

  /// Requests for those of a block's missing rows that are below `known`, cut so that each fits an answer; their bits
  /// are cleared.
  private func pieces(
    _ block: Int, _ missing: inout [UInt8], below known: Int, from holders: RowHolders, _ table: HolderTable
  ) throws -> [(request: RowRequest, holders: [BulkClient])] {
    let empty = [UInt8](repeating: 0, count: missing.count)
    var bitmaps: [[Int]: [UInt8]] = [:]
    let positions = missing.setBits
    for (position, row) in zip(positions, draw.rows(block: block, at: positions)) where row < known {
      bitmaps[table.holders(ofExtent: holders.layout.index(of: row)), default: empty].setBit(position)
      missing.clearBit(position)
    }
    return try bitmaps.flatMap { who, bitmap in
      let clients = try holders.clients(of: who, in: table)
      return RowRequest.requests(
        of: version, block: block, missing: bitmap, positions: draw.blockSize,
        rowsAtMost: WireLimits.bulkBytes / rowSize
      ).map { (request: $0, holders: clients) }
    }
  }
}
