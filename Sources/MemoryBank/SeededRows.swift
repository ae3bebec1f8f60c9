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
  /// - Complexity: `width` normal numbers, a microsecond or two for 256.
  public func write(row: Int, into vector: Vector) {
    invariant(vector.count == width, "\(vector.count) floats for a row of \(width)")
    fillWithNormalsOfUnitLength(
      vector, key: RandomKey(seed: seed, purpose: .seededRow, image: UInt64(bitPattern: Int64(row))))
    rowType.round(vector)
  }
}
