import Numerics
import Testing

@Suite struct DigestTests {
  @Test(arguments: [0, 1, 63, 240, 241, 1024, 100_001]) func piecesGiveTheDigestOfTheWhole(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 197 &+ 11) }
    for piece in [1, 7, 256, 65_536] where count / piece < 20_000 {
      let state = DigestState()
      for start in stride(from: 0, to: count, by: piece) {
        state.update(Array(bytes[start..<min(count, start + piece)]))
      }
      #expect(state.digest == Digest(of: bytes))
      #expect(state.digest == Digest(of: bytes), "asking changes nothing")
    }
  }

  @Test func onlyThirtyTwoHexadecimalDigitsAreADigest() {
    let digest = Digest(of: [1, 2, 3] as [UInt8])
    #expect(Digest(digest.description) == digest)
    for text in ["", "12", digest.description + "0", String(repeating: "g", count: 32)] { #expect(Digest(text) == nil) }
  }
}
