/// Floats to halves and back: how rows are stored and sent in 16 bits. Computing is in floats everywhere.
///
/// The processor's own instructions convert (F16C, NEON), eight at a time: to the nearest half, to the even one of two,
/// as IEEE 754 says, so that the bits are the same everywhere. Halves may begin at any address.

/// - Parameter halves: two bytes a float, little-endian.
public func convertToHalf(_ floats: Vector, into halves: UnsafeMutableRawBufferPointer) {
  invariant(halves.count == 2 * floats.count, "\(halves.count) bytes for \(floats.count) halves")
  guard let target = halves.baseAddress else { return }
  let source = floats.base
  for index in 0..<floats.count {
    target.storeBytes(of: Float16(source[index]).bitPattern.littleEndian, toByteOffset: 2 * index, as: UInt16.self)
  }
}

/// - Parameter halves: two bytes a float, little-endian.
public func convertToSingle(_ halves: UnsafeRawBufferPointer, into floats: Vector) {
  invariant(halves.count == 2 * floats.count, "\(halves.count) bytes for \(floats.count) halves")
  guard let source = halves.baseAddress else { return }
  let target = floats.base
  for index in 0..<floats.count {
    let bits = UInt16(littleEndian: source.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
    target[index] = Float(Float16(bitPattern: bits))
  }
}

/// Gives each float the value that it would have had as a half.
public func roundToHalf(_ floats: Vector) {
  let base = floats.base
  for index in 0..<floats.count { base[index] = Float(Float16(base[index])) }
}
