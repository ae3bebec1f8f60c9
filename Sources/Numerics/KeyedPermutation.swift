/// An order of 0..<count drawn from a key: any element at once, nothing stored.
///
/// A Feistel network permutes 0..<2^bits, the smallest such range that holds `count`; a result of `count` or more is
/// put through again until it falls below (cycle walking, Black and Rogaway 2002), which keeps it a bijection.
///
///     let order = KeyedPermutation(count: images, seed: seed, purpose: .epochOrder, index: epoch)
///     let image = order[position]
public struct KeyedPermutation: Sendable {
  /// 1...2^48.
  public let count: Int
  private let limit: UInt64
  private let rightBits: UInt64
  private let leftMask: UInt64
  private let rightMask: UInt64
  /// One a round. Eight rounds: from four on, a Feistel network with good round functions passes for random; these
  /// are quick rather than good.
  private let keys: SIMD8<UInt64>

  public init(count: Int, seed: UInt64, purpose: Purpose, index: UInt64) {
    invariant(count > 0 && count <= 1 << 48, "a permutation of \(count)")
    self.count = count
    limit = UInt64(count)
    // At least 4 bits: with halves of one bit a Feistel network reaches only a few of the permutations.
    let bits = max(4, UInt64.bitWidth - UInt64(count - 1).leadingZeroBitCount)
    rightBits = UInt64(bits / 2)
    leftMask = (1 << UInt64(bits - bits / 2)) - 1
    rightMask = (1 << UInt64(bits / 2)) - 1
    var stream = RandomStream(RandomKey(seed: seed, purpose: purpose, step: index))
    var keys = SIMD8<UInt64>.zero
    for round in 0..<8 { keys[round] = stream.nextUInt64() }
    self.keys = keys
  }

  /// The element at `position`, both in 0..<count.
  ///
  /// - Complexity: O(1): eight rounds, less than twice on average (up to 16 / count times below 16).
  public subscript(position: Int) -> Int {
    invariant(position >= 0 && position < count, "position \(position) of \(count)")
    var value = UInt64(position)
    repeat {
      var (left, right) = (value >> rightBits, value & rightMask)
      var round = 0
      while round < 8 {
        left ^= mixed(right, keys[round]) & leftMask
        right ^= mixed(left, keys[round + 1]) & rightMask
        round += 2
      }
      value = left << rightBits | right
    } while value >= limit
    return Int(value)
  }

  /// The elements at many positions, several at a time.
  public func elements(at positions: [Int]) -> [Int] {
    // Without room the array would be the one that all empty arrays are, and its count be written from many threads.
    guard !positions.isEmpty else { return [] }
    return [Int](unsafeUninitializedCapacity: positions.count) { elements, count in
      for index in positions.indices { elements[index] = self[positions[index]] }
      count = positions.count
    }
  }

  @inline(__always)
  private func mixed(_ half: UInt64, _ key: UInt64) -> UInt64 {
    var x = (half ^ key) &* 0x9E37_79B9_7F4A_7C15
    x = (x ^ x >> 32) &* 0xD6E8_FEB8_6659_FD93
    return x >> 32
  }
}
