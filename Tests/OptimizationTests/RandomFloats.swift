import Numerics

/// Seeded floats for tests (SplitMix64).
struct RandomFloats {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// Uniform in -1..<1.
  mutating func next() -> Float {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return Float((z ^ (z >> 31)) >> 40) / Float(1 << 23) - 1
  }

  mutating func buffer(count: Int, scale: Float = 1) -> FloatBuffer {
    FloatBuffer((0..<count).map { _ in scale * next() })
  }
}
