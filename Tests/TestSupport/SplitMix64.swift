/// A small seeded generator (Steele, Lea, Flood 2014), so that a failing test can be run again as it was.
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return SplitMix64.mixed(state)
  }

  /// Uniform in `0 ..< bound`, as good as schedules need.
  public mutating func next(below bound: UInt64) -> UInt64 { next() % bound }

  public mutating func chance(_ probability: Double) -> Bool { Double(next() >> 11) * 0x1p-53 < probability }

  /// Uniform in -1..<1.
  public mutating func nextFloat() -> Float { Float(next() >> 40) / Float(1 << 23) - 1 }

  /// A bijection of 64 bits that spreads every one of them.
  public static func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
