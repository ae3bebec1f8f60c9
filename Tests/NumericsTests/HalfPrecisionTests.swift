import Numerics
import Testing

@Suite("Halves are the nearest ones, and exact as floats")
struct HalfPrecisionTests {
  /// The nearest half by search in the order of their values, the even one of two: no conversion involved.
  private static func nearest(_ value: Float) -> UInt16 {
    if value.isNaN { return 0x7e00 }
    let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
    let size = Double(abs(value))
    // Beyond the largest half, 65,504, the next would be 65,536.
    func magnitude(_ bits: Int) -> Double {
      let (exponent, fraction) = (bits >> 10, Double(bits & 0x3ff))
      return exponent == 0
        ? fraction * 0x1p-24 : (1024 + fraction) * Double(sign: .plus, exponent: exponent - 25, significand: 1)
    }
    var (low, high) = (0, 0x7c00)
    while high - low > 1 {
      let middle = (low + high) / 2
      if magnitude(middle) <= size { low = middle } else { high = middle }
    }
    let (below, above) = (size - magnitude(low), magnitude(high) - size)
    let isLow = below < above || (below == above && low % 2 == 0)
    return sign | UInt16(size == .infinity || !isLow ? high : low)
  }

  @Test func everyHalfComesBack() {
    let bits = (0..<65_536).map { UInt16($0) }
    let floats = FloatBuffer(count: bits.count)
    bits.withUnsafeBytes { convertToSingle($0, into: floats.vector) }
    var back = [UInt16](repeating: 0, count: bits.count)
    back.withUnsafeMutableBytes { convertToHalf(floats.vector, into: $0) }
    for (before, after) in zip(bits, back) {
      // A quiet NaN is what a signalling one becomes.
      #expect(before == after || (before & 0x7fff > 0x7c00 && before | 0x200 == after))
    }
    #expect(
      floats[0x3c00] == 1 && floats[0x0001] == 0x1p-24 && floats[0x7bff] == 65_504 && floats[0xfc00] == -.infinity)
  }

  @Test(arguments: [1, 7, 8, 9, 31, 1_003])
  func floatsGoToTheNearest(count: Int) {
    var stream = RandomStream(RandomKey(seed: UInt64(count), purpose: .synthesis))
    let special: [Float] = [
      0, -0.0, 1, 65_504, 65_519.996, 65_520, 1e30, -.infinity, 0x1p-25, 0x1.000002p-25, -0x1p-26, 0x1.ffcp-15,
      1 + 0x1p-11, 1 + 0x3p-11, 0x1p-133,
    ]
    let values = (0..<count).map { index in
      index < special.count
        ? special[index]
        : Float(bitPattern: 0x3000_0000 + stream.nextUInt32() % 0x1800_0000) * (index % 2 == 0 ? 1 : -1)
    }
    let floats = FloatBuffer(values)
    // At an odd address, as bytes from a peer may be.
    var bytes = [UInt8](repeating: 0xaa, count: 2 * count + 3)
    bytes.withUnsafeMutableBytes {
      convertToHalf(floats.vector, into: UnsafeMutableRawBufferPointer(rebasing: $0[1..<(2 * count + 1)]))
    }
    let halves = (0..<count).map { UInt16(bytes[1 + 2 * $0]) | UInt16(bytes[2 + 2 * $0]) << 8 }
    #expect(halves == values.map(Self.nearest))
    #expect(bytes[0] == 0xaa && bytes[2 * count + 1] == 0xaa && bytes[2 * count + 2] == 0xaa)
    roundToHalf(floats.vector)
    let back = FloatBuffer(count: count)
    bytes.withUnsafeBytes {
      convertToSingle(UnsafeRawBufferPointer(rebasing: $0[1..<(2 * count + 1)]), into: back.vector)
    }
    #expect(back.array.map(\.bitPattern) == floats.array.map(\.bitPattern))
  }
}
