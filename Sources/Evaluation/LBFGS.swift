import Numerics

/// Minimises a smooth function of many floats by limited-memory BFGS.
///
/// The search along a direction ends where the strong Wolfe conditions hold; near the minimum, where floats do not resolve
/// how far the function falls, where its slope is flat enough and it has not risen by more than they resolve. Sources:
/// Nocedal and Wright, "Numerical Optimization", 2nd edition, algorithms 7.4, 7.5, 3.5 and 3.6, with c1 = 1e-4 and
/// c2 = 0.9; the approximate conditions of Hager and Zhang (SIAM J. Optim. 2005).
public struct LBFGS: Sendable {
  /// Pairs of steps and changes of the gradient that stand for the curvature.
  public var history = 10
  public var iterationsAtMost = 1000
  /// It has converged once no component of the gradient is larger than this.
  public var gradientTolerance = 1e-5

  public init() {}

  public struct Outcome: Equatable, Sendable {
    /// Of the function where it ended.
    public let value: Double
    public let iterations: Int
    /// The gradient is as small as wanted; else the iterations were used up, or floats resolve no better point.
    public let hasConverged: Bool
  }

  /// The function's value at a point, and its gradient there.
  public typealias Function = (_ point: Vector, _ gradient: Vector) throws -> Double

  private static let decrease = 1e-4
  private static let curvature = 0.9
  private static let triesAtMost = 25
  /// Of a function that is computed in floats, relative to its value.
  private static let resolution = 1e-7

  /// A step that was made, and how the gradient changed along it.
  private struct Pair {
    let step: Vector
    let change: Vector
    /// step . change, above 0.
    let product: Double
  }

  /// A point on the line that is searched.
  private struct Point {
    /// In units of the direction.
    var length: Double
    var value: Double
    /// The derivative along the direction.
    var slope: Double
  }

  /// - Parameter point: where it begins, and where it ends.
  /// - Throws: what the function throws.
  public func minimize(_ point: Vector, _ function: Function) throws -> Outcome {
    let count = point.count
    func vector() -> Vector { FloatBuffer(count: count).vector }
    var (gradient, trial, trialGradient) = (vector(), vector(), vector())
    let direction = vector()
    var pairs: [Pair] = []
    var value = try function(point, gradient)
    for iteration in 0..<iterationsAtMost {
      if isSmall(gradient) { return Outcome(value: value, iterations: iteration, hasConverged: true) }
      // 1. The direction, downhill whatever the pairs say.
      descend(gradient, pairs, into: direction)
      var slope = dot(gradient, direction)
      if !(slope < 0) {
        pairs = []
        descend(gradient, pairs, into: direction)
        slope = dot(gradient, direction)
      }
      // 2. How far: without pairs nothing tells the function's scale.
      let first = pairs.isEmpty ? min(1, 1 / (-slope).squareRoot()) : 1
      let start = Point(length: 0, value: value, slope: slope)
      let end = try search(from: start, first: first) { length in
        copy(point, into: trial)
        addScaled(direction, by: Float(length), to: trial)
        let value = try function(trial, trialGradient)
        return Point(length: length, value: value, slope: dot(trialGradient, direction))
      }
      guard let end else { return Outcome(value: value, iterations: iteration, hasConverged: false) }
      // 3. The pair, if the function is curved upwards there, and the step.
      let (step, change) = (vector(), vector())
      copy(trial, into: step)
      addScaled(point, by: -1, to: step)
      copy(trialGradient, into: change)
      addScaled(gradient, by: -1, to: change)
      let product = dot(step, change)
      if product > 1e-10 * dot(change, change) {
        if pairs.count == history { pairs.removeFirst() }
        pairs.append(Pair(step: step, change: change, product: product))
      }
      copy(trial, into: point)
      swap(&gradient, &trialGradient)
      value = end.value
    }
    return Outcome(value: value, iterations: iterationsAtMost, hasConverged: isSmall(gradient))
  }

  private func isSmall(_ gradient: Vector) -> Bool {
    (0..<gradient.count).allSatisfy { abs(Double(gradient[$0])) <= gradientTolerance }
  }

  /// direction = -H gradient, with H what the pairs say of the inverse of the second derivatives (algorithm 7.4).
  private func descend(_ gradient: Vector, _ pairs: [Pair], into direction: Vector) {
    copy(gradient, into: direction)
    var factors: [Double] = []
    for pair in pairs.reversed() {
      let factor = dot(pair.step, direction) / pair.product
      addScaled(pair.change, by: Float(-factor), to: direction)
      factors.append(factor)
    }
    if let last = pairs.last { scale(direction, by: Float(last.product / dot(last.change, last.change))) }
    for (pair, factor) in zip(pairs, factors.reversed()) {
      let back = dot(pair.change, direction) / pair.product
      addScaled(pair.step, by: Float(factor - back), to: direction)
    }
    scale(direction, by: -1)
  }
}

// MARK: - Along a line

extension LBFGS {
  /// A length where the function has fallen enough, and its slope too (algorithm 3.5).
  /// - Parameter at: evaluates at a length, last of all at the one that is returned.
  /// - Returns: nil if none is found: floats resolve the function no better.
  private func search(from start: Point, first: Double, _ at: (Double) throws -> Point) throws -> Point? {
    var (before, length) = (start, first)
    for attempt in 0..<Self.triesAtMost {
      let point = try at(length)
      if isAnEnd(point, start) { return point }
      if !fallsEnough(point, start) || (attempt > 0 && point.value >= before.value) {
        return try narrow(before, point, start, at)
      }
      if point.slope >= 0 { return try narrow(point, before, start, at) }
      (before, length) = (point, 2 * length)
    }
    return nil
  }

  /// Between two lengths, the lower of which falls enough, there is one that will do (algorithm 3.6).
  private func narrow(_ low: Point, _ high: Point, _ start: Point, _ at: (Double) throws -> Point) throws -> Point? {
    var (low, high) = (low, high)
    for _ in 0..<Self.triesAtMost {
      let point = try at(minimum(between: low, high))
      if isAnEnd(point, start) { return point }
      if !fallsEnough(point, start) || point.value >= low.value {
        high = point
      } else {
        if point.slope * (high.length - low.length) >= 0 { high = low }
        low = point
      }
    }
    // Fallen, if not flat: better than nothing.
    return low.length > 0 && low.value < start.value ? try at(low.length) : nil
  }

  /// What is not a number has not fallen.
  private func fallsEnough(_ point: Point, _ start: Point) -> Bool {
    point.value <= start.value + Self.decrease * point.length * start.slope
  }

  private func isAnEnd(_ point: Point, _ start: Point) -> Bool {
    abs(point.slope) <= -Self.curvature * start.slope
      && (fallsEnough(point, start) || point.value <= start.value + Self.resolution * abs(start.value))
  }

  /// The least of the cubic through both, kept off their ends; the middle where that is no number (equation 3.59).
  private func minimum(between low: Point, _ high: Point) -> Double {
    let width = high.length - low.length
    let first = low.slope + high.slope - 3 * (low.value - high.value) / (low.length - high.length)
    let square = first * first - low.slope * high.slope
    let second = (square >= 0 ? square.squareRoot() : .nan) * (width > 0 ? 1 : -1)
    let cubic = high.length - width * (high.slope + second - first) / (high.slope - low.slope + 2 * second)
    let share = (cubic - low.length) / width
    return low.length + width * (share.isFinite ? min(max(share, 0.1), 0.9) : 0.5)
  }
}
