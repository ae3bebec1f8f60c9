/// Why a schedule cannot be made from the settings given.
public enum OptimizationError: Error, Equatable, CustomStringConvertible {
  case warmUpLongerThanRun(schedule: String, warmUpSteps: Int, steps: Int)

  public var description: String {
    switch self {
    case .warmUpLongerThanRun(let schedule, let warmUpSteps, let steps):
      "the warm-up of \(schedule) takes \(warmUpSteps) steps, but the run has only \(steps). "
        + "Shorten the warm-up, or give the run more epochs."
    }
  }
}
