/// A bit for each of consecutive positions: bit i % 8 of byte i / 8 is for the i-th.
extension [UInt8] {
  /// The positions whose bits are set, in order.
  package var setBits: [Int] {
    var positions: [Int] = []
    positions.reserveCapacity(reduce(0) { $0 + $1.nonzeroBitCount })
    for (index, var byte) in enumerated() {
      while byte != 0 {
        positions.append(index * 8 + byte.trailingZeroBitCount)
        byte &= byte - 1
      }
    }
    return positions
  }

  package mutating func setBit(_ position: Int) { self[position / 8] |= 1 << UInt8(position % 8) }

  package mutating func clearBit(_ position: Int) { self[position / 8] &= ~(1 << UInt8(position % 8)) }
}
