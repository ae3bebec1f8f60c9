import Numerics
import Synchronization

/// k-means: Lloyd's iterations from centers that k-means++ draws, several times; the tightest result counts.
///
/// Everything is cut by pictures alone, so the result depends on the seed and not on the number of threads. Source: Arthur
/// and Vassilvitskii, "k-means++: the advantages of careful seeding" (SODA 2007).
public struct KMeans: Sendable {
  public let clusters: Int
  public let restarts: Int
  public let seed: UInt64
  /// Lloyd's iterations of a restart.
  static let iterationsAtMost = 300
  /// Rows of one product.
  static let together = 1024
  /// Parts that centers are summed in, whatever the threads are.
  private static let partsAtMost = 8

  public init(clusters: Int, restarts: Int = 10, seed: UInt64 = 0) {
    invariant(clusters > 0 && restarts > 0)
    self.clusters = clusters
    self.restarts = restarts
    self.seed = seed
  }

  public struct Result: Sendable {
    /// The cluster of each row.
    public let assignments: [Int]
    /// The sum of the rows' squared distances from their centers.
    public let inertia: Double
    public let iterations: Int
  }

  /// - Parameters:
  ///   - rows: `[n, width]`, n at least `clusters`.
  ///   - done: told of each restart.
  public func best(of rows: FeatureRows, threads: Int, done: @Sendable (Int) -> Void = { _ in }) throws -> Result {
    invariant(rows.count >= clusters)
    var best: Result?
    for restart in 0..<restarts {
      let result = try self.result(rows, restart: restart, threads: threads)
      if result.inertia < best?.inertia ?? .infinity { best = result }
      done(1)
    }
    guard let best else { return Result(assignments: [], inertia: .nan, iterations: 0) }
    return best
  }

  private func result(_ rows: FeatureRows, restart: Int, threads: Int) throws -> Result {
    let centers = try drawCenters(rows, restart: restart, threads: threads)
    var nearest = try assign(rows, to: centers, threads: threads)
    var iterations = 1
    while iterations < Self.iterationsAtMost {
      try move(centers, to: rows, nearest, threads: threads)
      let next = try assign(rows, to: centers, threads: threads)
      iterations += 1
      let hasSettled = next.clusters == nearest.clusters
      nearest = next
      if hasSettled { break }
    }
    return Result(
      assignments: nearest.clusters.map(Int.init), inertia: nearest.distances.reduce(0) { $0 + Double($1) },
      iterations: iterations)
  }

  /// Where each row belongs, and how far, squared, it is from there.
  private struct Nearest: Sendable {
    var clusters: [Int32]
    var distances: [Float]
  }
}

// MARK: - Lloyd's iteration

extension KMeans {
  /// Each row to its nearest center; of equally near ones the first.
  private func assign(_ rows: FeatureRows, to centers: Matrix, threads: Int) throws -> Nearest {
    // |x - c|² = |x|² - 2 (x.c - |c|² / 2): the largest of the brackets is the nearest.
    let lifts = FloatBuffer((0..<clusters).map { Float(-sumOfSquares(centers.row(at: $0)) / 2) })
    let centers = Shared(matrix: centers)
    let tiles = (rows.count + Self.together - 1) / Self.together
    let found = Mutex([Nearest](repeating: Nearest(clusters: [], distances: []), count: tiles))
    try SharedWork(pieces: tiles).run(threads: threads) { next in
      let memory = FloatBuffer(count: Self.together * clusters)
      while let tile = next() {
        let range = tile * Self.together..<min((tile + 1) * Self.together, rows.count)
        let (features, brackets) = (
          rows.matrix.rows(range), memory.matrix(rows: range.count, columns: clusters)
        )
        multiply(features, .asIs, centers.matrix, .transposed, into: brackets)
        addRow(lifts.vector, toRowsOf: brackets)
        var nearest = Nearest(clusters: [], distances: [])
        for row in 0..<range.count {
          let cluster = columnOfLargest(brackets, row: row)
          let distance = sumOfSquares(features.row(at: row)) - 2 * Double(brackets[row, cluster])
          nearest.clusters.append(Int32(cluster))
          nearest.distances.append(Float(max(distance, 0)))
        }
        found.withLock { $0[tile] = nearest }
      }
    }
    return found.withLock { found in
      Nearest(clusters: found.flatMap(\.clusters), distances: found.flatMap(\.distances))
    }
  }

  /// Each center to the mean of its rows. One that has none goes where the row is that is farthest from its own.
  private func move(_ centers: Matrix, to rows: FeatureRows, _ nearest: Nearest, threads: Int) throws {
    let parts = min(Self.partsAtMost, rows.count)
    let sums = (0..<parts).map { _ in FloatBuffer(count: clusters * rows.width) }
    try SharedWork(pieces: parts).run(threads: threads) { next in
      while let part = next() {
        let sum = sums[part].matrix(rows: clusters, columns: rows.width)
        for row in part * rows.count / parts..<(part + 1) * rows.count / parts {
          addScaled(rows.matrix.row(at: row), by: 1, to: sum.row(at: Int(nearest.clusters[row])))
        }
      }
    }
    var counts = [Int](repeating: 0, count: clusters)
    for cluster in nearest.clusters { counts[Int(cluster)] += 1 }
    fill(centers, with: 0)
    for sum in sums { addScaled(sum.matrix(rows: clusters, columns: rows.width), by: 1, to: centers) }
    var distances = nearest.distances
    for cluster in 0..<clusters {
      if counts[cluster] > 0 {
        scale(centers.row(at: cluster), by: 1 / Float(counts[cluster]))
      } else {
        let farthest = distances.indices.max { distances[$0] < distances[$1] } ?? 0
        copy(rows.matrix.row(at: farthest), into: centers.row(at: cluster))
        distances[farthest] = 0
      }
    }
  }

  /// Centers that threads only read.
  private struct Shared: @unchecked Sendable {
    let matrix: Matrix
  }
}

// MARK: - k-means++

extension KMeans {
  /// Rows as centers, each next one drawn in proportion to its squared distance from those before.
  private func drawCenters(_ rows: FeatureRows, restart: Int, threads: Int) throws -> Matrix {
    var stream = RandomStream(
      RandomKey(
        seed: seed, purpose: .evaluation, step: UInt64(restart), view: EvaluationDraw.centers.rawValue))
    let centers = FloatBuffer(count: clusters * rows.width).matrix(rows: clusters, columns: rows.width)
    var distances = [Float](repeating: .infinity, count: rows.count)
    var row = stream.integer(below: rows.count)
    for cluster in 0..<clusters {
      copy(rows.matrix.row(at: row), into: centers.row(at: cluster))
      if cluster + 1 == clusters { break }
      try approach(&distances, rows, to: rows.matrix.row(at: row), threads: threads)
      row = Self.draw(distances, by: stream.uniform()) ?? stream.integer(below: rows.count)
    }
    return centers
  }

  /// Lowers each row's squared distance to that from one more center, where it is nearer.
  private func approach(_ distances: inout [Float], _ rows: FeatureRows, to center: Vector, threads: Int) throws {
    let column = FloatBuffer(count: center.count)
    copy(center, into: column.vector)
    let own = sumOfSquares(center)
    let tiles = (rows.count + Self.together - 1) / Self.together
    let found = Mutex([[Float]](repeating: [], count: tiles))
    try SharedWork(pieces: tiles).run(threads: threads) { next in
      let memory = FloatBuffer(count: Self.together)
      while let tile = next() {
        let range = tile * Self.together..<min((tile + 1) * Self.together, rows.count)
        let features = rows.matrix.rows(range)
        let products = memory.matrix(rows: range.count, columns: 1)
        multiply(features, .asIs, column.matrix(rows: 1, columns: rows.width), .transposed, into: products)
        let squares = (0..<range.count).map { row in
          Float(max(0, sumOfSquares(features.row(at: row)) + own - 2 * Double(products[row, 0])))
        }
        found.withLock { $0[tile] = squares }
      }
    }
    let squares = found.withLock { $0.flatMap(\.self) }
    for row in distances.indices where squares[row] < distances[row] { distances[row] = squares[row] }
  }

  /// The row where a share of all squared distances, added up in their order, is reached; nil if all are 0.
  private static func draw(_ distances: [Float], by share: Double) -> Int? {
    let total = distances.reduce(0) { $0 + Double($1) }
    guard total > 0 else { return nil }
    var sum = 0.0
    var last = 0
    for (row, distance) in distances.enumerated() where distance > 0 {
      sum += Double(distance)
      last = row
      if sum > share * total { return row }
    }
    return last
  }
}

// MARK: - Memory

extension EvaluationMemory.Work {
  public static func kMeans(pictures: Int, clusters: Int, width: Int) -> Self {
    Self(shared: 9 * 4 * clusters * width + 32 * pictures, eachThread: 4 * KMeans.together * clusters)
  }
}
