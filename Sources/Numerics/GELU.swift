/// GELU with the exact error function, x Phi(x), and its derivative.
///
/// Phi(-a) = e^(-a^2/2) t P(t) for a >= 0 with t = 1 / (1 + 0.33 a): the form of Abramowitz and Stegun 7.1.26, with
/// seven terms fitted to 7e-9 (relative: 8e-5 as far down as a = 13). The exponential is the density's too.

/// Adds a bias to a product's rows, keeps the sums, and gives their GELU, within 2e-7 * max(1, |x|).
///
/// - Parameters:
///   - x: `[rows, columns]`: a product going in, product + bias coming out, which `geluBackward` wants.
///   - bias: `[columns]`.
///   - y: `[rows, columns]`, overlaps `x` nowhere.
public func geluAddingBias(_ x: Matrix, bias: Vector, into y: Matrix) {
  invariant(x.rows == y.rows && x.columns == y.columns && bias.count == x.columns)
  let (bias, count) = (bias.base, x.columns)
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  for row in 0..<x.rows {
    let (x, y) = (x.base + row * x.stride, y.base + row * y.stride)
    var i = 0
    while i < whole {
      let sums = x.lanes(at: i) + bias.lanes(at: i)
      x.store(sums, at: i)
      y.store(gelu(sums), at: i)
      i += laneCount
    }
    if rest > 0 {
      let sums = x.lanes(at: whole) + bias.lanes(at: whole)
      x.store(sums, at: whole, first: rest)
      y.store(gelu(sums), at: whole, first: rest)
    }
  }
}

/// y = GELU(x), within 2e-7 * max(1, |x|). `y` may be `x`.
public func gelu(_ x: Matrix, into y: Matrix) {
  invariant(x.rows == y.rows && x.columns == y.columns)
  let count = x.columns
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  for row in 0..<x.rows {
    let (x, y) = (x.base + row * x.stride, y.base + row * y.stride)
    var i = 0
    while i < whole {
      y.store(gelu(x.lanes(at: i)), at: i)
      i += laneCount
    }
    if rest > 0 { y.store(gelu(x.lanes(at: whole)), at: whole, first: rest) }
  }
}

/// Turns the gradient of GELU's value into that of its argument, in place: dX = dY (Phi(x) + x phi(x)).
///
/// - Parameters:
///   - x: `[rows, columns]`, the argument: what `geluAddingBias` left there.
///   - gradient: `[rows, columns]`, dY going in, dX coming out.
public func geluBackward(_ x: Matrix, gradient: Matrix) {
  invariant(x.rows == gradient.rows && x.columns == gradient.columns)
  let count = x.columns
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  for row in 0..<x.rows {
    let (x, gradient) = (x.base + row * x.stride, gradient.base + row * gradient.stride)
    var i = 0
    while i < whole {
      gradient.store(gradient.lanes(at: i) * geluDerivative(x.lanes(at: i)), at: i)
      i += laneCount
    }
    if rest > 0 { gradient.store(gradient.lanes(at: i) * geluDerivative(x.lanes(at: i)), at: i, first: rest) }
  }
}

@inline(__always)
private func gelu(_ x: Lanes) -> Lanes {
  let lower = lowerTail(x).probability
  // x - x Phi(-x) above zero, x Phi(x) below: neither loses digits.
  return (x * lower).replacing(with: x.addingProduct(-x, lower), where: x .>= Lanes.zero)
}

@inline(__always)
private func geluDerivative(_ x: Lanes) -> Lanes {
  let (lower, bell) = lowerTail(x)
  let probability = lower.replacing(with: Lanes(repeating: 1) - lower, where: x .>= Lanes.zero)
  return probability.addingProduct(x * Lanes(repeating: 0.3989422804), bell)
}

/// Phi(-|x|), and e^(-x^2/2).
@inline(__always)
private func lowerTail(_ x: Lanes) -> (probability: Lanes, bell: Lanes) {
  let bell = exponential(ofNonPositive: x * x * Lanes(repeating: -0.5))
  let size = x.replacing(with: -x, where: x .< Lanes.zero)
  let t = Lanes(repeating: 1) / Lanes(repeating: 1).addingProduct(size, Lanes(repeating: 0.33))
  var p = Lanes(repeating: 0.0447792448)
  p = Lanes(repeating: -0.216891035).addingProduct(p, t)
  p = Lanes(repeating: 0.323883623).addingProduct(p, t)
  p = Lanes(repeating: -0.0815636069).addingProduct(p, t)
  p = Lanes(repeating: 0.176500499).addingProduct(p, t)
  p = Lanes(repeating: 0.120851964).addingProduct(p, t)
  p = Lanes(repeating: 0.132439315).addingProduct(p, t)
  return (p * t * bell, bell)
}
