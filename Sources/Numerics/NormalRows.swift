/// Rows of normal numbers of unit length, sixteen numbers at a time: what a memory begins with, made anew wherever it is
/// read, so that it has to be quick.
///
/// Four Philox blocks, a lane each, give sixteen words; logarithm, cosine and sine are those of `Transcendentals`, the
/// same operations in the same order, so that the bits are those of `RandomStream.normal` one after the other.

private typealias Doubles = SIMD4<Double>
private typealias Words = SIMD4<UInt64>

/// Fills a vector with the first numbers of a stream, each `Float(stream.normal())`, divided by their length.
///
/// The squares are added one after the other, in Double; a length below 1e-6 counts as that.
/// - Complexity: some nanoseconds a number.
public func fillWithNormalsOfUnitLength(_ vector: Vector, key: RandomKey) {
  let mixed = key.mixed
  let (base, count) = (vector.base, vector.count)
  var block: UInt64 = 0
  var start = 0
  while start < count {
    let words = fourBlocks(block, mixed)
    let (firstCosine, firstSine) = normalPairs(words.0, words.1)
    let (secondCosine, secondSine) = normalPairs(words.2, words.3)
    for lane in 0..<4 {
      let four = SIMD4<Float>(
        Float(firstCosine[lane]), Float(firstSine[lane]), Float(secondCosine[lane]), Float(secondSine[lane]))
      let place = start + 4 * lane
      if place + 4 <= count {
        UnsafeMutableRawPointer(base + place).storeBytes(of: four, as: SIMD4<Float>.self)
      } else {
        for index in 0..<4 where place + index < count { base[place + index] = four[index] }
      }
    }
    block &+= 4
    start += 16
  }
  var sum = 0.0
  for index in 0..<count { sum += Double(base[index]) * Double(base[index]) }
  let length = max(sum.squareRoot(), 1e-6)
  for index in 0..<count { base[index] = Float(Double(base[index]) / length) }
}

/// The words of four consecutive blocks of a stream: the first of each, the second of each, and so on; 32 bits a lane.
@inline(__always)
private func fourBlocks(_ block: UInt64, _ mixed: SIMD4<UInt32>) -> (Words, Words, Words, Words) {
  let low = Words(repeating: 0xffff_ffff)
  let number = Words(block, block &+ 1, block &+ 2, block &+ 3)
  var (c0, c1) = (number & low, number &>> 32)
  var (c2, c3) = (Words(repeating: UInt64(mixed.z)), Words(repeating: UInt64(mixed.w)))
  var (k0, k1) = (mixed.x, mixed.y)
  for _ in 0..<10 {
    let first = (c0 & low) &* Words(repeating: 0xD251_1F53)
    let second = (c2 & low) &* Words(repeating: 0xCD9E_8D57)
    c0 = (second &>> 32) ^ c1 ^ Words(repeating: UInt64(k0))
    c1 = second & low
    c2 = (first &>> 32) ^ c3 ^ Words(repeating: UInt64(k1))
    c3 = first & low
    k0 &+= 0x9E37_79B9
    k1 &+= 0xBB67_AE85
  }
  return (c0, c1, c2, c3)
}

/// Box and Muller: `RandomStream.normal` twice, in each lane.
@inline(__always)
private func normalPairs(_ radius: Words, _ angle: Words) -> (Doubles, Doubles) {
  let size = (Doubles(repeating: -2) * logarithm((number(radius) + 0.5) * 0x1p-32)).squareRoot()
  let (cosine, sine) = cosineAndSine(turns: number(angle) * 0x1p-32)
  return (size * cosine, size * sine)
}

/// Exact for what is below 2^52: the bits of 2^52 plus the number, less 2^52.
@inline(__always)
private func number(_ words: Words) -> Doubles {
  unsafeBitCast(words | Words(repeating: 0x4330_0000_0000_0000), to: Doubles.self) - 0x1p52
}

/// Of normal numbers above 0: `logarithm(_: Double)`, lane by lane.
@inline(__always)
private func logarithm(_ x: Doubles) -> Doubles {
  let bits = unsafeBitCast(x, to: Words.self)
  var exponent = number(bits &>> 52) - 1023
  var fraction = unsafeBitCast(
    bits & Words(repeating: 0x000f_ffff_ffff_ffff) | Words(repeating: 0x3ff0_0000_0000_0000), to: Doubles.self)
  let isLarge = fraction .> Doubles(repeating: 0x1.6a09e667f3bcdp0)
  fraction.replace(with: fraction * 0.5, where: isLarge)
  exponent.replace(with: exponent + 1, where: isLarge)
  let f = fraction - 1
  let s = f / (2 + f)
  let z = s * s
  var p = Doubles(repeating: 1.479819860510658591e-1)
  p = Doubles(repeating: 1.531383769920937332e-1).addingProduct(p, z)
  p = Doubles(repeating: 1.818357216161805012e-1).addingProduct(p, z)
  p = Doubles(repeating: 2.222219843214978396e-1).addingProduct(p, z)
  p = Doubles(repeating: 2.857142874366239149e-1).addingProduct(p, z)
  p = Doubles(repeating: 3.999999999940941908e-1).addingProduct(p, z)
  p = Doubles(repeating: 6.666666666666735130e-1).addingProduct(p, z)
  let r = p * z
  let h = 0.5 * f * f
  return exponent * 6.93147180369123816490e-1 - ((h - (s * (h + r) + exponent * 1.90821492927058770002e-10)) - f)
}

/// Of turns in 0..<1: `cosineAndSine(turns: Double)`, lane by lane.
@inline(__always)
private func cosineAndSine(turns: Doubles) -> (cosine: Doubles, sine: Doubles) {
  // Adding 1.5 * 2^52 rounds to an integer, to the even one of two, and leaves it in the low bits.
  let shift = Doubles(repeating: 0x1.8p52)
  let whole = turns - ((turns + shift) - shift)
  let shifted = whole * 4 + shift
  let x = (whole - (shifted - shift) * 0.25) * 0x1.921fb54442d18p2
  let z = x * x
  var p = Doubles(repeating: 1.58969099521155010221e-10)
  p = Doubles(repeating: -2.50507602534068634195e-8).addingProduct(p, z)
  p = Doubles(repeating: 2.75573137070700676789e-6).addingProduct(p, z)
  p = Doubles(repeating: -1.98412698298579493134e-4).addingProduct(p, z)
  p = Doubles(repeating: 8.33333333332248946124e-3).addingProduct(p, z)
  p = Doubles(repeating: -1.66666666666666324348e-1).addingProduct(p, z)
  let sine = x.addingProduct(p * z, x)
  var q = Doubles(repeating: -1.13596475577881948265e-11)
  q = Doubles(repeating: 2.08757232129817482790e-9).addingProduct(q, z)
  q = Doubles(repeating: -2.75573143513906633035e-7).addingProduct(q, z)
  q = Doubles(repeating: 2.48015872894767294178e-5).addingProduct(q, z)
  q = Doubles(repeating: -1.38888888888741095749e-3).addingProduct(q, z)
  q = Doubles(repeating: 4.16666666666666019037e-2).addingProduct(q, z)
  let cosine = 1 - (0.5 * z - z * z * q)
  // Turned by the quarters: 1 and 3 swap the two; the cosine of 1 and 2, the sine of 2 and 3 change their sign.
  let quarter = unsafeBitCast(shifted, to: Words.self)
  let isOdd = (quarter & Words(repeating: 1)) .== Words(repeating: 1)
  let second = (quarter & Words(repeating: 2)) &<< 62
  let turnedCosine = cosine.replacing(with: sine, where: isOdd)
  let turnedSine = sine.replacing(with: cosine, where: isOdd)
  let cosineSign = second ^ ((quarter & Words(repeating: 1)) &<< 63)
  return (
    unsafeBitCast(unsafeBitCast(turnedCosine, to: Words.self) ^ cosineSign, to: Doubles.self),
    unsafeBitCast(unsafeBitCast(turnedSine, to: Words.self) ^ second, to: Doubles.self)
  )
}
