import Evaluation
import Networks
import Numerics
import Runs
import Vision
import WeightFiles

/// What a run's memory says that pictures resemble: the rows nearest to their embeddings.
///
/// Rows are embeddings behind the head, so pictures pass the teacher's head too. A row's picture was embedded as one
/// random view of it, by the teacher of the step that enqueued it; what is asked for is embedded whole, by the teacher of
/// the checkpoint. Owned by one thread.
public struct MemoryNeighbors {
  private let memory: RememberedRows
  /// Of those that are searched.
  public let numbers: Range<Int>

  /// Rows compared with at once.
  private static let together = 1024

  public struct Neighbor: Equatable, Sendable {
    public let row: Int
    public let cosine: Float
    /// Nil for a row that a fork took over from a run with other pictures.
    public let origin: RememberedRows.Origin?
  }

  /// - Parameters:
  ///   - run: for people.
  ///   - newest: rows that are searched at most, the newest ones; nil: all of the memory.
  /// - Throws: `VisualizationError.noRows`; `MemoryBankError`, `CheckpointError`, `DurabilityError` of rows that cannot be
  ///   had.
  public init(_ memory: RememberedRows, of run: String, newest: Int?) throws {
    self.memory = memory
    let all = memory.numbers
    numbers = max(all.lowerBound, all.upperBound - (newest ?? all.count))..<all.upperBound
    guard !numbers.isEmpty else { throw VisualizationError.noRows(run: run, step: memory.manifest.step) }
    try memory.find(numbers)
  }

  /// Side of the squares that pictures are embedded as, in pixels.
  public var side: Int { memory.definition.architecture.imageSize }

  /// Embeds pictures as the run's teacher does, `[pictures, bottleneckDim]`, rows of unit length.
  /// - Parameters:
  ///   - squares: of `side` pixels.
  ///   - file: of the teacher, for people.
  ///   - normalization: of the run.
  /// - Throws: `WeightFileError.notFinite`, `VisualizationError.notFinite`; `CheckpointError`.
  public func embeddings(
    of squares: [(name: String, picture: Picture)], teacher file: String, _ normalization: Normalization
  ) throws -> Matrix {
    let architecture = memory.definition.architecture
    let (parameters, statistics) = try memory.teacher()
    for tensor in memory.definition.layout.tensors {
      let values = parameters.vector(at: tensor.range.lowerBound, count: tensor.range.count)
      if !isFinite(values) {
        throw WeightFileError.notFinite(
          file: file, tensor: tensor.name, count: (0..<values.count).count { !values[$0].isFinite })
      }
    }
    let count = squares.count
    let workspace = try BackboneWorkspace(architecture, maximumImages: count, side: side, keepsActivations: false)
    let pixels = FloatBuffer(count: count * 3 * side * side).matrix(rows: count, columns: 3 * side * side)
    for (row, square) in squares.enumerated() { normalization.write(square.picture, into: pixels.row(at: row)) }
    let features = FloatBuffer(count: count * architecture.embedDim).matrix(rows: count, columns: architecture.embedDim)
    Backbone(architecture).forward(
      pixels, weights: NetworkWeights(parameters, .fp32), workspace: workspace, into: features)
    let embeddings = FrozenHead(architecture, parameters, statistics: statistics).embeddings(of: features)
    for (row, square) in squares.enumerated() where !isFinite(embeddings.row(at: row)) {
      throw VisualizationError.notFinite(picture: square.name)
    }
    return embeddings
  }

  /// The rows nearest to each embedding, the nearest first; of equally near ones the oldest first.
  /// - Parameters:
  ///   - embeddings: `[any, bottleneckDim]`, rows of unit length.
  ///   - count: of each, at least 1; fewer if there are not so many.
  ///   - done: told how many more rows were looked at.
  public func nearest(
    to embeddings: Matrix, count: Int, done: (Int) -> Void = { _ in }
  ) throws -> [[Neighbor]] {
    var nearest = (0..<embeddings.rows).map { _ in Nearest(atMost: count) }
    let rows = FloatBuffer(count: Self.together * embeddings.columns)
      .matrix(rows: Self.together, columns: embeddings.columns)
    let cosines = FloatBuffer(count: Self.together * embeddings.rows)
    var next = numbers.lowerBound
    while next < numbers.upperBound {
      let read = try memory.read(next..<min(next + Self.together, numbers.upperBound), into: rows)
      let products = cosines.matrix(rows: embeddings.rows, columns: read)
      multiply(embeddings, .asIs, rows.rows(0..<read), .transposed, into: products)
      for query in nearest.indices {
        for row in 0..<read { nearest[query].offer(next + row, similarity: products[query, row]) }
      }
      next += read
      done(read)
    }
    return nearest.map { list in
      list.sorted().map { Neighbor(row: $0.index, cosine: $0.similarity, origin: memory.origin(ofRow: $0.index)) }
    }
  }
}
