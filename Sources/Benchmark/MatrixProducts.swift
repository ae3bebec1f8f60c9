import Numerics
import Training

/// `massl bench gemm`: the step's products at their own shapes, beside one at 4096^3, in the run's precision.
public enum MatrixProducts {
  /// A product `[rows, inner] x [inner, columns]`.
  struct Shape {
    var name: String
    var rows: Int
    var inner: Int
    var columns: Int
    var description: String { "\(name) \(rows)x\(inner)x\(columns)" }
    var operations: Double { 2 * Double(rows) * Double(inner) * Double(columns) }
  }

  /// Side of the ceiling's square matrices.
  static let ceilingSide = 4096

  static func ceilingName(_ precision: Precision) -> String {
    "\(precision == .fp32 ? "sgemm" : "bf16 product") \(ceilingSide)^3"
  }

  /// - Parameters:
  ///   - definition: whose step's shapes are measured.
  ///   - threads: products at once, each on one thread.
  public static func measure(_ definition: RunDefinition, threads: Int, rounds: Int) throws -> [Figure] {
    let products = ([ceiling] + shapes(of: definition)).map {
      SimultaneousProducts($0, threads: threads, definition.precision)
    }
    let seconds = try Timing.medians(rounds: rounds, products.map { product in { product.run() } })
    let rates = zip(products, seconds).map { $0.operations / $1 / 1e9 }
    return zip(products, rates).dropFirst().map { product, rate in
      Figure(
        product.shape.description, rate, unit: "GFLOP/s",
        ceiling: .init(ceilingName(definition.precision), rates[0]), digest: product.digest)
    }
  }

  static let ceiling = Shape(name: ceilingName(.fp32), rows: ceilingSide, inner: ceilingSide, columns: ceilingSide)

  static func shapes(of definition: RunDefinition) -> [Shape] {
    let (architecture, configuration) = (definition.architecture, definition.configuration)
    let (d, batch) = (architecture.embedDim, configuration.sliceSize)
    let global = 2 * batch * architecture.tokens(side: configuration.imageSize)
    let localViews = min(configuration.localViewsPerGroup, configuration.localCropsNumber)
    let local = localViews * batch * architecture.tokens(side: configuration.localSize)
    let tokens = architecture.tokens(side: configuration.imageSize)
    return [
      Shape(name: "qkv, global views", rows: global, inner: d, columns: 3 * d),
      Shape(name: "qkv, local views", rows: local, inner: d, columns: 3 * d),
      Shape(name: "mlp, global views", rows: global, inner: d, columns: architecture.mlpDim),
      Shape(name: "a head's scores", rows: tokens, inner: d / architecture.numHeads, columns: tokens),
      Shape(
        name: "head's hidden layer", rows: 2 * batch, inner: architecture.headHiddenDim,
        columns: architecture.headHiddenDim),
      Shape(
        name: "logits of a block", rows: 2 * batch, inner: architecture.bottleneckDim, columns: configuration.blockSize),
    ].filter { $0.rows > 0 }
  }
}

/// The same product on several threads at once, often enough to be timed.
///
/// `@unchecked Sendable`: factors number i are used by thread i alone.
final class SimultaneousProducts: @unchecked Sendable {
  let shape: MatrixProducts.Shape
  private let threads: Int
  private let repetitions: Int
  /// A thread's own: a, b and c.
  private let factors: [(Factor, Factor, Matrix)]

  init(_ shape: MatrixProducts.Shape, threads: Int, _ precision: Precision = .fp32) {
    self.shape = shape
    self.threads = threads
    repetitions = max(1, Int(2e9 / shape.operations))
    factors = (0..<threads).map { _ in
      (
        drawnMatrix(rows: shape.rows, columns: shape.inner, 1).rounded(to: precision),
        drawnMatrix(rows: shape.inner, columns: shape.columns, 2).rounded(to: precision),
        FloatBuffer(count: shape.rows * shape.columns).matrix(rows: shape.rows, columns: shape.columns)
      )
    }
  }

  var operations: Double { Double(threads * repetitions) * shape.operations }

  func run() {
    Timing.onThreads(threads) { [self] thread in
      let (a, b, c) = factors[thread]
      for _ in 0..<repetitions { multiply(a, .asIs, b, into: c) }
    }
  }

  var digest: String { "\(factors[0].2.buffer.digest)" }

}

/// Uniform numbers in -1..<1, the same for the same shape and number.
func drawnMatrix(rows: Int, columns: Int, _ number: UInt64) -> Matrix {
  let buffer = FloatBuffer(count: rows * columns)
  var stream = RandomStream(RandomKey(seed: number, purpose: .synthesis))
  buffer.withMutableBytes(of: 0..<buffer.count) { bytes in
    for index in 0..<buffer.count {
      bytes.storeBytes(of: Float(stream.uniform() * 2 - 1), toByteOffset: index * 4, as: Float.self)
    }
  }
  return buffer.matrix(rows: rows, columns: columns)
}
