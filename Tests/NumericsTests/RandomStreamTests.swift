import Foundation
import Numerics
import Testing

@Suite struct RandomStreamTests {
  /// Random123, `kat_vectors`, philox4x32 10.
  @Test func philoxGivesThePublishedAnswers() {
    let zero = Philox.block(counter: SIMD4(0, 0, 0, 0), key: SIMD2(0, 0))
    #expect(zero == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    let ones = Philox.block(counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max))
    #expect(ones == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    let pi = Philox.block(
      counter: SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: SIMD2(0xa409_3822, 0x299f_31d0))
    #expect(pi == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test func everyPartOfTheKeyCounts() {
    let key = RandomKey(seed: 1, purpose: .augmentation, step: 2, image: 3, view: 4)
    var keys = [key]
    for bit in [0, 31, 32, 63] as [UInt64] {
      keys.append(RandomKey(seed: 1 ^ 1 << bit, purpose: .augmentation, step: 2, image: 3, view: 4))
      keys.append(RandomKey(seed: 1, purpose: .augmentation, step: 2 ^ 1 << bit, image: 3, view: 4))
      keys.append(RandomKey(seed: 1, purpose: .augmentation, step: 2, image: 3 ^ 1 << bit, view: 4))
    }
    keys.append(RandomKey(seed: 1, purpose: .dropPath, step: 2, image: 3, view: 4))
    keys.append(RandomKey(seed: 1, purpose: .augmentation, step: 2, image: 3, view: 5))
    let first = keys.map { key -> UInt64 in
      var stream = RandomStream(key)
      return stream.nextUInt64()
    }
    #expect(Set(first).count == keys.count)
  }

  /// Written down so that a change of any run's numbers is noticed.
  @Test func aStreamIsAFunctionOfItsKey() {
    var stream = RandomStream(RandomKey(seed: 7, purpose: .synthesis, step: 1, image: 2, view: 3))
    var copy = stream
    let numbers = (0..<9).map { _ in stream.nextUInt32() }
    #expect(numbers == (0..<9).map { _ in copy.nextUInt32() })
    #expect(Set(numbers).count == 9)
    #expect(
      Digest(of: numbers.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } })
        .description == "c1e6357eb2698f903de37edb04f22412")
  }

  @Test func uniformFillsItsRangeEvenly() {
    var stream = RandomStream(RandomKey(seed: 1, purpose: .synthesis))
    var counts = [Int](repeating: 0, count: 64)
    for _ in 0..<64_000 {
      let (a, b) = (stream.uniform(), stream.uniformFloat())
      #expect(a >= 0 && a < 1 && b >= 0 && b < 1)
      counts[Int(a * 64)] += 1
      counts[Int(b * 64)] += 1
      let c = stream.uniform(in: -3...5.0)
      #expect(c >= -3 && c <= 5)
    }
    #expect(chiSquare(counts, expected: 2000) < 63 + 6 * 126.0.squareRoot())
  }

  @Test func normalHasItsMomentsAndTails() {
    var stream = RandomStream(RandomKey(seed: 2, purpose: .synthesis))
    let count = 200_000
    var powers = [Double](repeating: 0, count: 4)
    var outside = 0
    for _ in 0..<count {
      let x = stream.normal()
      #expect(x.isFinite)
      for power in 0..<4 { powers[power] += Foundation.pow(x, Double(power + 1)) / Double(count) }
      if abs(x) > 2 { outside += 1 }
    }
    #expect(abs(powers[0]) < 0.012 && abs(powers[1] - 1) < 0.016 && abs(powers[2]) < 0.045)
    #expect(abs(powers[3] - 3) < 0.12)
    #expect(abs(Double(outside) / Double(count) - 0.0455) < 0.0025)
  }

  @Test func truncatedNormalIsCutAtAbsoluteTwo() {
    var stream = RandomStream(RandomKey(seed: 3, purpose: .initialization))
    var largest = 0.0
    for _ in 0..<20_000 { largest = max(largest, abs(stream.truncatedNormal(deviation: 1.5))) }
    #expect(largest <= 2 && largest > 1.99)
    var squares = 0.0
    for _ in 0..<20_000 {
      let x = stream.truncatedNormal(deviation: 0.02)
      squares += x * x / 20_000
    }
    #expect(abs(squares.squareRoot() - 0.02) < 5e-4)
  }

  @Test func boolIsCertainAtTheEnds() {
    var stream = RandomStream(RandomKey(seed: 4, purpose: .dropPath))
    var hits = 0
    for _ in 0..<10_000 {
      #expect(stream.bool(probability: 1) && !stream.bool(probability: 0))
      if stream.bool(probability: 0.2) { hits += 1 }
    }
    #expect(abs(hits - 2000) < 240)
  }

  @Test(arguments: [1, 2, 3, 7, 100]) func integersAreEven(below n: Int) {
    var stream = RandomStream(RandomKey(seed: 5, purpose: .synthesis))
    var counts = [Int](repeating: 0, count: n)
    for _ in 0..<n * 1000 { counts[stream.integer(below: n)] += 1 }
    #expect(chiSquare(counts, expected: 1000) < Double(n) + 6 * Double(2 * n).squareRoot())
  }

  /// Without throwing draws away, modulo favours the lower third of this range twofold to threefold, and the high
  /// half of the product gives one residue by 3 two chances in eight.
  @Test func integersHaveNoBias() {
    var stream = RandomStream(RandomKey(seed: 6, purpose: .synthesis))
    let n = 3 << 61
    var (thirds, residues) = ([0, 0, 0], [0, 0, 0])
    for _ in 0..<30_000 {
      let value = stream.integer(below: n)
      thirds[value / (1 << 61)] += 1
      residues[value % 3] += 1
    }
    #expect(chiSquare(thirds, expected: 10_000) < 20)
    #expect(chiSquare(residues, expected: 10_000) < 20)
  }
}

func chiSquare(_ counts: [Int], expected: Double) -> Double {
  counts.map { (Double($0) - expected) * (Double($0) - expected) / expected }.reduce(0, +)
}
