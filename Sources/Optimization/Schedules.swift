import Numerics

/// Numbers that follow from the step alone. Worked out in Double on the coordinator, which sends values, not formulas.

/// From `base` to `final` along half a cosine, after a linear warm-up from `start`.
///
/// The learning rate, the weight decay and the teacher's momentum follow it.
public struct CosineSchedule: Sendable, Hashable {
  public let base: Double
  public let final: Double
  /// The value at step 0 when there is a warm-up.
  public let start: Double
  /// All steps of the run, the warm-up's included.
  public let steps: Int
  public let warmUpSteps: Int

  /// - Parameter name: the setting that follows the schedule, for the error's sentence.
  /// - Throws: `OptimizationError.warmUpLongerThanRun`.
  public init(
    _ name: String, from base: Double, to final: Double, steps: Int, warmUpSteps: Int = 0, warmUpFrom start: Double = 0
  ) throws {
    invariant(steps > 0 && warmUpSteps >= 0)
    try checkWarmUp(of: name, warmUpSteps, steps: steps)
    self.base = base
    self.final = final
    self.start = start
    self.steps = steps
    self.warmUpSteps = warmUpSteps
  }

  /// The value at a step, 0..<steps; later ones have the last step's.
  public subscript(step: Int) -> Double {
    let step = min(max(step, 0), steps - 1)
    if step < warmUpSteps { return linear(from: start, to: base, count: warmUpSteps, at: step) }
    let turns = Double(step - warmUpSteps) / (2 * Double(steps - warmUpSteps))
    return final + 0.5 * (base - final) * (1 + cosineAndSine(turns: turns).cosine)
  }
}

/// From `start` to `end` along a line that takes `warmUpSteps`, then constant: the teacher's temperature.
public struct WarmUpSchedule: Sendable, Hashable {
  public let start: Double
  public let end: Double
  public let warmUpSteps: Int

  /// - Parameter name: the setting that follows the schedule, for the error's sentence.
  /// - Throws: `OptimizationError.warmUpLongerThanRun`.
  public init(_ name: String, from start: Double, to end: Double, steps: Int, warmUpSteps: Int) throws {
    invariant(steps > 0 && warmUpSteps >= 0)
    try checkWarmUp(of: name, warmUpSteps, steps: steps)
    self.start = start
    self.end = end
    self.warmUpSteps = warmUpSteps
  }

  /// The value at a step, 0...
  public subscript(step: Int) -> Double {
    step < warmUpSteps ? linear(from: start, to: end, count: warmUpSteps, at: max(step, 0)) : end
  }
}

private func checkWarmUp(of name: String, _ warmUpSteps: Int, steps: Int) throws {
  if warmUpSteps > steps {
    throw OptimizationError.warmUpLongerThanRun(schedule: name, warmUpSteps: warmUpSteps, steps: steps)
  }
}

/// Element `index` of `numpy.linspace(start, end, count)`: both ends are included, and one point is the start.
private func linear(from start: Double, to end: Double, count: Int, at index: Int) -> Double {
  if count > 1 && index == count - 1 { return end }
  return count == 1 ? start : start + Double(index) * ((end - start) / Double(count - 1))
}
