/// What products read: floats, or floats rounded to bfloat16. Either way they add up in floats.
public enum Precision: Sendable, CaseIterable {
  case fp32
  /// bfloat16: a float's sign and exponent, and 7 bits of its fraction.
  case bf16

  /// Of a value that a product reads.
  public var bytes: Int { self == .fp32 ? 4 : 2 }

  /// Floats of a `FloatBuffer` that so many values take.
  public func floats(for values: Int) -> Int { (values * bytes + 3) / 4 }
}
