import Numerics

/// The draws that views and made-up pictures consist of, in Double and without libm: what is drawn gets rounded to
/// pixels, and must be the same pixels everywhere.
struct Draws {
  private var stream: RandomStream

  init(_ key: RandomKey) { stream = RandomStream(key) }

  mutating func bits() -> UInt32 { stream.nextUInt32() }

  /// 0..<1.
  mutating func unit() -> Double { Double(bits()) * 0x1p-32 }

  mutating func number(in range: ClosedRange<Double>) -> Double {
    range.lowerBound + unit() * (range.upperBound - range.lowerBound)
  }

  mutating func happens(_ probability: Double) -> Bool { unit() < probability }

  /// 0..<count.
  mutating func index(below count: Int) -> Int { Int((UInt64(bits()) * UInt64(count)) >> 32) }
}
