/// GELU with the exact error function, x Phi(x), and its derivative.
///
/// Phi(-a) = e^(-a^2/2) t P(t) for a >= 0 with t = 1 / (1 + 0.33 a): the form of Abramowitz and Stegun 7.1.26, with
/// seven terms fitted to 7e-9 (relative: 8e-5 as far down as a = 13). The exponential is the density's too.

/// Adds a bias to a product's rows, and gives their GELU, within 2e-7 * max(1, |x|).
///
/// - Parameters:
///   - x: `[rows, columns]`: a product; afterwards product + bias, which `geluBackward` wants.
///   - bias: `[columns]`.
///   - y: `[rows, columns]`, does not overlap `x`.
public func geluAddingBias(_ x: Matrix, bias: Vector, into y: Factor) {
  invariant(x.rows == y.rows && x.columns == y.columns && bias.count == x.columns)
  let (bias, count) = (bias.base, x.columns)
  for row in 0..<x.rows {
    let x = x.base + row * x.stride
    switch y.precision {
    case .fp32: geluAddingBias(x, bias, into: y.floats(row), count)
    case .bf16: geluAddingBias(x, bias, into: y.halves(row), count)
    }
  }
}

@inline(__always)
private func geluAddingBias<Y: LanePlace>(
  _ x: UnsafeMutablePointer<Float>, _ bias: UnsafeMutablePointer<Float>, into y: Y, _ count: Int
) {
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
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

/// y = GELU(x), within 2e-7 * max(1, |x|). `y` may be `x`.
public func gelu(_ x: Factor, into y: Factor) {
  invariant(x.rows == y.rows && x.columns == y.columns)
  for row in 0..<x.rows {
    switch (x.precision, y.precision) {
    case (.fp32, .fp32): gelu(x.floats(row), into: y.floats(row), x.columns)
    case (.fp32, .bf16): gelu(x.floats(row), into: y.halves(row), x.columns)
    case (.bf16, .fp32): gelu(x.halves(row), into: y.floats(row), x.columns)
    case (.bf16, .bf16): gelu(x.halves(row), into: y.halves(row), x.columns)
    }
  }
}

@inline(__always)
private func gelu<X: LanePlace, Y: LanePlace>(_ x: X, into y: Y, _ count: Int) {
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  var i = 0
  while i < whole {
    y.store(gelu(x.lanes(at: i)), at: i)
    i += laneCount
  }
  if rest > 0 { y.store(gelu(x.lanes(at: whole)), at: whole, first: rest) }
}

/// Turns the gradient of GELU's value into that of its argument: dX = dY (Phi(x) + x phi(x)).
///
/// - Parameters:
///   - x: `[rows, columns]`, the argument: a product with its bias.
///   - dY: `[rows, columns]`, of x's precision.
///   - dX: `[rows, columns]`; may be `dY`, or the factor in its memory.
public func geluBackward(_ x: Factor, gradient dY: Factor, into dX: Factor) {
  invariant(x.rows == dY.rows && x.columns == dY.columns && x.rows == dX.rows && x.columns == dX.columns)
  invariant(x.precision == dY.precision)
  for row in 0..<x.rows {
    switch (x.precision, dX.precision) {
    case (.fp32, .fp32): geluBackward(x.floats(row), dY.floats(row), into: dX.floats(row), x.columns)
    case (.fp32, .bf16): geluBackward(x.floats(row), dY.floats(row), into: dX.halves(row), x.columns)
    case (.bf16, .fp32): geluBackward(x.halves(row), dY.halves(row), into: dX.floats(row), x.columns)
    case (.bf16, .bf16): geluBackward(x.halves(row), dY.halves(row), into: dX.halves(row), x.columns)
    }
  }
}

@inline(__always)
private func geluBackward<X: LanePlace, Gradient: LanePlace>(
  _ x: X, _ dY: X, into dX: Gradient, _ count: Int
) {
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  var i = 0
  while i < whole {
    dX.store(dY.lanes(at: i) * geluDerivative(x.lanes(at: i)), at: i)
    i += laneCount
  }
  if rest > 0 { dX.store(dY.lanes(at: i) * geluDerivative(x.lanes(at: i)), at: i, first: rest) }
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
