/// Exponential, logarithm, power, cosine and sine of our own.
///
/// libm's differ between versions and processors, and a step's bits must not; these use nothing but additions,
/// products, fused products and divisions, which IEEE 754 rounds in one way. Coefficients: FreeBSD's msun
/// (`e_log.c`, `k_sin.c`, `k_cos.c`) for Double, Cephes' `expf.c` for the eight floats at once.

/// e to the x, within 2 units in the last place; 0 far below, infinity far above, NaN for NaN.
public func exponential(_ x: Double) -> Double {
  if x > 709.79 { return .infinity }
  if x < -745.14 { return 0 }
  if x.isNaN { return x }
  // 1. x = n ln 2 + r with |r| <= ln 2 / 2; adding 1.5 * 2^52 rounds to an integer.
  let shift = 0x1.8p52
  let n = shift.addingProduct(x, 0x1.71547652b82fep0) - shift
  let r = x.addingProduct(-n, 0x1.62e42fee00000p-1).addingProduct(-n, 0x1.a39ef35793c76p-33)
  // 2. e^r by its series; the first term left out is below 2^-58.
  var p = 1.0 / 6_227_020_800
  p = (1.0 / 479_001_600).addingProduct(p, r)
  p = (1.0 / 39_916_800).addingProduct(p, r)
  p = (1.0 / 3_628_800).addingProduct(p, r)
  p = (1.0 / 362_880).addingProduct(p, r)
  p = (1.0 / 40_320).addingProduct(p, r)
  p = (1.0 / 5_040).addingProduct(p, r)
  p = (1.0 / 720).addingProduct(p, r)
  p = (1.0 / 120).addingProduct(p, r)
  p = (1.0 / 24).addingProduct(p, r)
  p = (1.0 / 6).addingProduct(p, r)
  p = 0.5.addingProduct(p, r)
  p = 1.0.addingProduct(p, r)
  p = 1.0.addingProduct(p, r)
  // 3. Times 2^n in two factors, since n may be beyond a normal exponent at both ends.
  let exponent = Int(n)
  let half = exponent >> 1
  return p * powerOfTwo(half) * powerOfTwo(exponent - half)
}

/// e to the x, rounded from the Double version.
public func exponential(_ x: Float) -> Float { Float(exponential(Double(x))) }

/// The natural logarithm, within 2 units in the last place; -infinity for 0, NaN below.
public func logarithm(_ x: Double) -> Double {
  if x.isNaN || x < 0 { return .nan }
  if x == 0 { return -.infinity }
  if x == .infinity { return x }
  // 1. x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2).
  var k = 0
  var bits = x.bitPattern
  if x < .leastNormalMagnitude {
    bits = (x * 0x1p54).bitPattern
    k = -54
  }
  k += Int(bits >> 52) - 1023
  var fraction = Double(bitPattern: bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000)
  if fraction > 0x1.6a09e667f3bcdp0 {
    fraction *= 0.5
    k += 1
  }
  let f = fraction - 1
  // 2. log(1 + f) = f - f^2/2 + s (f^2/2 + R(s)), s = f / (2 + f).
  let s = f / (2 + f)
  let z = s * s
  var p = 1.479819860511658591e-1
  p = 1.531383769920937332e-1.addingProduct(p, z)
  p = 1.818357216161805012e-1.addingProduct(p, z)
  p = 2.222219843214978396e-1.addingProduct(p, z)
  p = 2.857142874366239149e-1.addingProduct(p, z)
  p = 3.999999999940941908e-1.addingProduct(p, z)
  p = 6.666666666666735130e-1.addingProduct(p, z)
  let r = p * z
  let h = 0.5 * f * f
  let exponent = Double(k)
  return exponent * 6.93147180369123816490e-1 - ((h - (s * (h + r) + exponent * 1.90821492927058770002e-10)) - f)
}

/// The natural logarithm, rounded from the Double version.
public func logarithm(_ x: Float) -> Float { Float(logarithm(Double(x))) }

/// x to the y for x >= 0, as e^(y log x): its relative error grows with |y log x|, 1e-14 at 50.
public func power(_ x: Double, _ y: Double) -> Double {
  if y == 0 || x == 1 { return 1 }
  if x == 0 { return y > 0 ? 0 : .infinity }
  return exponential(y * logarithm(x))
}

/// x to the y for x >= 0, rounded from the Double version.
public func power(_ x: Float, _ y: Float) -> Float { Float(power(Double(x), Double(y))) }

/// Cosine and sine of 2 pi `turns`, within 1e-15; exact at quarter turns. NaN where `turns` is not finite.
public func cosineAndSine(turns: Double) -> (cosine: Double, sine: Double) {
  guard turns.isFinite else { return (.nan, .nan) }
  // 1. The nearest quarter turn, and what is left: at most an eighth. All exact.
  let whole = turns - turns.rounded(.toNearestOrEven)
  let quarter = (whole * 4).rounded(.toNearestOrEven)
  let x = (whole - quarter * 0.25) * 0x1.921fb54442d18p2
  // 2. Both functions there.
  let z = x * x
  var p = 1.58969099521155010221e-10
  p = (-2.50507602534068634195e-8).addingProduct(p, z)
  p = 2.75573137070700676789e-6.addingProduct(p, z)
  p = (-1.98412698298579493134e-4).addingProduct(p, z)
  p = 8.33333333332248946124e-3.addingProduct(p, z)
  p = (-1.66666666666666324348e-1).addingProduct(p, z)
  let sine = x.addingProduct(p * z, x)
  var q = -1.13596475577881948265e-11
  q = 2.08757232129817482790e-9.addingProduct(q, z)
  q = (-2.75573143513906633035e-7).addingProduct(q, z)
  q = 2.48015872894767294178e-5.addingProduct(q, z)
  q = (-1.38888888888741095749e-3).addingProduct(q, z)
  q = 4.16666666666666019037e-2.addingProduct(q, z)
  let cosine = 1 - (0.5 * z - z * z * q)
  // 3. Turned by the quarters.
  switch Int(quarter) & 3 {
  case 0: return (cosine, sine)
  case 1: return (-sine, cosine)
  case 2: return (-cosine, -sine)
  default: return (sine, -cosine)
  }
}

@inline(__always)
private func powerOfTwo(_ exponent: Int) -> Double {
  Double(bitPattern: UInt64(bitPattern: Int64(exponent + 1023)) << 52)
}

// MARK: - Eight at once

/// e to the x for x <= 0 and NaN; 0 below -87.3, where the true value is about to leave the normal numbers.
/// Relative error below 1.5e-7.
@inline(__always)
func exponential(ofNonPositive x: Lanes) -> Lanes {
  // Adding 1.5 * 2^23 rounds to an integer, and leaves it in the low bits.
  let shift = Lanes(repeating: 0x1.8p23)
  let tooLow = x .< Lanes(repeating: -87.3)
  let safe = x.replacing(with: Lanes(repeating: -87.3), where: tooLow)
  let shifted = shift.addingProduct(safe, Lanes(repeating: 0x1.715476p0))
  let n = shifted - shift
  let r = safe.addingProduct(n, Lanes(repeating: -0x1.62e400p-1)).addingProduct(n, Lanes(repeating: -0x1.7f7d1cp-20))
  var p = Lanes(repeating: 1.9875691500e-4)
  p = Lanes(repeating: 1.3981999507e-3).addingProduct(p, r)
  p = Lanes(repeating: 8.3334519073e-3).addingProduct(p, r)
  p = Lanes(repeating: 4.1665795894e-2).addingProduct(p, r)
  p = Lanes(repeating: 1.6666665459e-1).addingProduct(p, r)
  p = Lanes(repeating: 5.0000001201e-1).addingProduct(p, r)
  p = (r + Lanes(repeating: 1)).addingProduct(p, r * r)
  let bits = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &- SIMD8<Int32>(repeating: 0x4b40_0000 - 127)
  let scaled = p * unsafeBitCast(bits &<< 23, to: Lanes.self)
  return scaled.replacing(with: Lanes(repeating: 0), where: tooLow)
}
