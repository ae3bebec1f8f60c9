import Optimization

/// Replays the schedules of a run of `epochs` x `steps_per_epoch`, with the settings that the case's note names.
enum ScheduleCase {
  static func replay(_ fields: CaseFields) throws -> [GoldenCase.Comparison] {
    let stepsPerEpoch = try fields.integer("steps_per_epoch")
    let steps = try fields.integer("epochs") * stepsPerEpoch
    let curves: [(String, (Int) -> Double)] = try [
      curve("lr", CosineSchedule("lr", from: 5e-4 * 128 / 256, to: 1e-6, steps: steps)),
      curve(
        "lr_warm",
        CosineSchedule("lr", from: 7.5e-4 * 128 / 256, to: 2e-6, steps: steps, warmUpSteps: 3 * stepsPerEpoch)),
      curve("wd", CosineSchedule("weight_decay", from: 0.04, to: 0.4, steps: steps)),
      curve("momentum", CosineSchedule("momentum_teacher", from: 0.992, to: 1, steps: steps)),
      (
        "teacher_temp",
        { [schedule = try warmUp(steps: steps, warmUpSteps: 4 * stepsPerEpoch)] in schedule[$0] }
      ),
    ]
    return try curves.map { name, ours in
      let theirs = try fields.numbers(name)
      guard theirs.count == steps else {
        throw VerificationError.notACase(fields.path, problem: "'\(name)' has \(theirs.count) values, not \(steps)")
      }
      let largest = theirs.reduce(0) { max($0, $1.magnitude) }
      let difference = theirs.enumerated().reduce(0) { max($0, (ours($1.offset) - $1.element).magnitude) }
      return GoldenCase.Comparison(quantity: name, difference: difference, bound: 1e-9 * largest)
    }
  }

  private static func curve(_ name: String, _ schedule: CosineSchedule) -> (String, (Int) -> Double) {
    (name, { schedule[$0] })
  }

  private static func warmUp(steps: Int, warmUpSteps: Int) throws -> WarmUpSchedule {
    try WarmUpSchedule("teacher_temp", from: 0.04, to: 0.07, steps: steps, warmUpSteps: warmUpSteps)
  }
}
