import Numerics
import Synchronization

/// One linear layer on features: the class with the largest logit is the answer.
public struct LinearClassifier: Sendable {
  public let classCount: Int
  public let width: Int
  /// Weights `[classCount, width]`, then biases `[classCount]`.
  public let parameters: FloatBuffer

  /// All zero.
  public init(classCount: Int, width: Int) {
    self.classCount = classCount
    self.width = width
    parameters = FloatBuffer(count: Self.floatCount(classCount: classCount, width: width))
  }

  /// On `parameters`, which lie as said above.
  init(_ parameters: FloatBuffer, classCount: Int, width: Int) {
    invariant(parameters.count == Self.floatCount(classCount: classCount, width: width))
    self.classCount = classCount
    self.width = width
    self.parameters = parameters
  }

  static func floatCount(classCount: Int, width: Int) -> Int { classCount * (width + 1) }

  public var weights: Matrix { parameters.matrix(rows: classCount, columns: width) }
  public var biases: Vector { parameters.vector(at: classCount * width, count: classCount) }

  /// - Parameters:
  ///   - rows: `[n, width]`.
  ///   - logits: `[n, classCount]`, overwritten.
  func logits(of rows: Matrix, into logits: Matrix) {
    multiply(rows, .asIs, weights, .transposed, into: logits)
    addRow(biases, toRowsOf: logits)
  }

  /// How many answers are right.
  public struct Score: Equatable, Sendable {
    public internal(set) var asked = 0
    public internal(set) var right = 0
    /// The true class is among the five with the largest logits.
    public internal(set) var amongFive = 0

    public var topOne: Double { Double(right) / Double(max(asked, 1)) }
    public var topFive: Double { Double(amongFive) / Double(max(asked, 1)) }
  }

  /// Rows that are asked in one product.
  static let together = 1024

  /// Bytes that asking takes, a thread.
  static func bytesAsking(classCount: Int) -> Int { 4 * together * classCount }

  /// Asks for the class of each row.
  /// - Parameter test: rows whose class is nil are never right.
  /// - Returns: nil if a logit is not finite.
  public func score(_ test: LabelledFeatures<Int?>, threads: Int) throws -> Score? {
    let together = Self.together
    let state = Mutex<(score: Score, isFinite: Bool)>((Score(), true))
    try SharedWork(pieces: (test.rows.count + together - 1) / together).run(threads: threads) { next in
      let memory = FloatBuffer(count: together * classCount)
      while let piece = next() {
        let range = piece * together..<min((piece + 1) * together, test.rows.count)
        let logits = memory.matrix(rows: range.count, columns: classCount)
        self.logits(of: test.rows.matrix.rows(range), into: logits)
        var found = Score(asked: range.count)
        var isFinite = true
        for place in range {
          let row = logits.row(at: place - range.lowerBound)
          if !Numerics.isFinite(row) { isFinite = false }
          guard let truth = test.labels[place] else { continue }
          let rank = rank(of: truth, in: row)
          if rank == 0 { found.right += 1 }
          if rank < 5 { found.amongFive += 1 }
        }
        state.withLock { state in
          state.score.asked += found.asked
          state.score.right += found.right
          state.score.amongFive += found.amongFive
          state.isFinite = state.isFinite && isFinite
        }
      }
    }
    return state.withLock { $0.isFinite ? $0.score : nil }
  }

  /// Classes before one in the order of their logits; of equal ones the first class comes first.
  private func rank(of truth: Int, in logits: Vector) -> Int {
    let own = logits[truth]
    return logits.buffer.withBytes(of: logits.offset..<logits.offset + logits.count) { bytes in
      let logits = bytes.bindMemory(to: Float.self)
      var rank = 0
      for other in logits.indices where logits[other] > own || (logits[other] == own && other < truth) { rank += 1 }
      return rank
    }
  }
}
