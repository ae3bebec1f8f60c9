import Numerics
import Testing

@Suite struct ContentHashTests {
  /// As Python's hashlib has it: `blake2b(bytes, digest_size=16)`.
  @Test(
    arguments: [
      ([], 0xcae6_6941_d9ef_bd40, 0x4e4d_8875_8ea6_7670),
      (Array("abc".utf8), 0xcf4a_b791_c62b_8d2b, 0x2109_c902_7528_7816),
      ((0..<1280).map { UInt8(truncatingIfNeeded: $0) }, 0x825c_7cfa_8fc1_2c18, 0xf57b_6046_a548_db9f),
    ] as [([UInt8], UInt64, UInt64)]) func isBLAKE2bOf16Bytes(bytes: [UInt8], high: UInt64, low: UInt64)
  {
    #expect(bytes.withUnsafeBytes { ContentHash(of: $0) } == ContentHash(high: high, low: low))
  }

  @Test(arguments: [1, 6, 7, 8, 700, 701]) func chunksHaveTheHashesThatEachHasAlone(count: Int) {
    let floats = (0..<count).map { Float($0) }
    let alone = stride(from: 0, to: count, by: 7).map { first in
      Array(floats[first..<min(count, first + 7)]).withUnsafeBytes { ContentHash(of: $0) }
    }
    #expect(FloatBuffer(floats).contentHashes(ofChunks: 7) == alone)
    #expect(Set(alone).count == alone.count)
  }
}
