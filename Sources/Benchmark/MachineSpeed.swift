import Numerics

/// What this machine does in the two ways that steps are made of: products, and passes over memory.
public struct MachineSpeed: Sendable {
  /// Floating-point operations a second of a product at 4096^3, so many at once.
  public let sgemmPerSecond: Double
  /// Bytes a second of a copy on all cores, read and written both counted.
  public let copyBytesPerSecond: Double

  /// - Parameters:
  ///   - threads: products at once.
  ///   - precision: of what they multiply.
  /// - Complexity: a few seconds.
  public init(measuredWith threads: Int, _ precision: Precision) throws {
    let ceiling = SimultaneousProducts(MatrixProducts.ceiling, threads: threads, precision)
    let count = 1 << 25
    let (from, to) = (FloatBuffer(count: count), FloatBuffer(count: count))
    let seconds = try Timing.medians(rounds: 1, [{ ceiling.run() }, { MemoryCopy.run(from, into: to) }])
    sgemmPerSecond = ceiling.operations / seconds[0]
    copyBytesPerSecond = Double(8 * count) / seconds[1]
  }
}
