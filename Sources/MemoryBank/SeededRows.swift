import Numerics

/// The rows that a memory begins with: normalised Gaussian, a pure function of the run's seed and the row's number.
public struct SeededRows: Sendable {
  public let seed: UInt64
  public let width: Int
  /// Rows have the values that they would have once stored.
  public let rowType: RowType

  public init(seed: UInt64, width: Int, rowType: RowType = .fp32) {
    self.seed = seed
    self.width = width
    self.rowType = rowType
  }

  /// Writes the row of this number, of unit length, into a vector of `width` floats.
  /// - Complexity: `width` normal numbers, some microseconds.
  public func write(row: Int, into vector: Vector) {
    invariant(vector.count == width, "\(vector.count) floats for a row of \(width)")
    var stream = RandomStream(RandomKey(seed: seed, purpose: .seededRow, image: UInt64(bitPattern: Int64(row))))
    // Summed one after the other in Double, so that the length has the same bits everywhere.
    var sum = 0.0
    for index in 0..<width {
      let value = Float(stream.normal())
      vector[index] = value
      sum += Double(value) * Double(value)
    }
    let length = max(sum.squareRoot(), 1e-6)
    for index in 0..<width { vector[index] = Float(Double(vector[index]) / length) }
    rowType.round(vector)
  }
}
