import Numerics
import Testing

@Suite struct KeyedPermutationTests {
  private func permutation(_ count: Int, seed: UInt64 = 1, index: UInt64 = 0) -> KeyedPermutation {
    KeyedPermutation(count: count, seed: seed, purpose: .epochOrder, index: index)
  }

  @Test func isABijectionAtEverySmallSize() {
    for count in Array(1...300) + [511, 512, 513, 1000, 4095, 4097, 50_000, 65_536, 65_537] {
      var seen = [Bool](repeating: false, count: count)
      let order = permutation(count, seed: UInt64(count))
      for position in 0..<count { seen[order[position]] = true }
      #expect(seen.allSatisfy { $0 }, "\(count)")
    }
  }

  @Test func manyPositionsAtOnceHaveTheSameElements() {
    for count in [1, 7, 1000, 65_536, 1 << 40 + 1] {
      let order = permutation(count)
      let positions = [count - 1, 0, count / 2, 0] + Array(0..<min(count, 50))
      #expect(order.elements(at: positions) == positions.map { order[$0] })
    }
    #expect(permutation(5).elements(at: []).isEmpty)
  }

  @Test(arguments: [1 << 31, 1 << 40 + 1, 1 << 47 + 1, 1 << 48]) func staysInRangeAndApartAtAnySize(count: Int) {
    let order = permutation(count)
    let places = (0..<2000).map { $0 * (count / 2000) } + [count - 1]
    let found = places.map { order[$0] }
    #expect(found.allSatisfy { $0 >= 0 && $0 < count })
    #expect(Set(found).count == Set(places).count)
    #expect(found.contains { $0 > count / 4 * 3 } && found.contains { $0 < count / 4 })
  }

  /// Six deviations above the mean of a chi-square with this many degrees of freedom.
  private func bound(_ freedom: Int) -> Double { Double(freedom) + 6 * Double(2 * freedom).squareRoot() }

  @Test func isUniformInPositionAt50_000() {
    // Where a few elements go, over many keys.
    for position in [0, 1, 25_000, 49_999] {
      var counts = [Int](repeating: 0, count: 50)
      for index in 0..<10_000 { counts[permutation(50_000, index: UInt64(index))[position] / 1000] += 1 }
      #expect(chiSquare(counts, expected: 200) < bound(49), "\(position)")
    }
    // Where the parts of one order go: each twentieth spread evenly over all.
    for seed in 0..<10 as Range<UInt64> {
      let order = permutation(50_000, seed: seed)
      var counts = [Int](repeating: 0, count: 400)
      for position in 0..<50_000 { counts[position / 2500 * 20 + order[position] / 2500] += 1 }
      #expect(chiSquare(counts, expected: 125) < bound(361), "\(seed)")
    }
  }

  @Test(arguments: [1, 2, 7, 128, 256, 25_000]) func neighboursAreUncorrelatedAt50_000(distance: Int) {
    for seed in 0..<5 as Range<UInt64> {
      let order = permutation(50_000, seed: seed)
      var (pairs, steps) = ([Int](repeating: 0, count: 400), [Int](repeating: 0, count: 100))
      for position in 0..<50_000 {
        let (a, b) = (order[position], order[(position + distance) % 50_000])
        pairs[a / 2500 * 20 + b / 2500] += 1
        steps[((b - a + 50_000) % 50_000) / 500] += 1
      }
      #expect(chiSquare(pairs, expected: 125) < bound(399), "\(seed)")
      #expect(chiSquare(steps, expected: 500) < bound(99), "\(seed)")
    }
  }

  @Test func ordersOfNeighbouringKeysAreUnrelated() {
    let (a, b, c) = (permutation(50_000), permutation(50_000, index: 1), permutation(50_000, seed: 2))
    let same = [(a, b), (a, c), (b, c)].map { one, other in (0..<50_000).filter { one[$0] == other[$0] }.count }
    #expect(same.allSatisfy { $0 < 9 })
  }

  @Test func allOrdersOfThreeAreReached() {
    var counts: [[Int]: Int] = [:]
    for index in 0..<6000 {
      let order = permutation(3, index: UInt64(index))
      counts[(0..<3).map { order[$0] }, default: 0] += 1
    }
    #expect(counts.count == 6)
    #expect(chiSquare(Array(counts.values), expected: 1000) < 40)
  }
}
