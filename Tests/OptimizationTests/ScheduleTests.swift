import Foundation
import Optimization
import Testing

@Suite struct ScheduleTests {
  /// `Tests/Golden/schedules.json`, written by `Scripts/golden/schedules.py` with NumPy.
  struct Golden: Decodable {
    var epochs: Int, stepsPerEpoch: Int
    var lr: [Double], lrWarm: [Double], wd: [Double], momentum: [Double], teacherTemp: [Double]

    static func read() throws -> Golden {
      let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(
        Golden.self, from: Data(contentsOf: tests.appendingPathComponent("Golden/schedules.json")))
    }
  }

  @Test func valuesAreThoseOfNumPy() throws {
    let golden = try Golden.read()
    let (steps, epoch) = (golden.epochs * golden.stepsPerEpoch, golden.stepsPerEpoch)
    let rate = try CosineSchedule("lr", from: 5e-4 * 128 / 256, to: 1e-6, steps: steps)
    let warm = try CosineSchedule("lr", from: 7.5e-4 * 128 / 256, to: 2e-6, steps: steps, warmUpSteps: 3 * epoch)
    let decay = try CosineSchedule("weight_decay", from: 0.04, to: 0.4, steps: steps)
    let momentum = try CosineSchedule("momentum_teacher", from: 0.992, to: 1, steps: steps)
    let temperature = try WarmUpSchedule("teacher_temp", from: 0.04, to: 0.07, steps: steps, warmUpSteps: 4 * epoch)
    func check(_ value: (Int) -> Double, _ expected: [Double]) {
      #expect(expected.count == steps)
      for step in 0..<steps { #expect(abs(value(step) - expected[step]) <= 1e-9 * expected.max()!, "step \(step)") }
    }
    check({ rate[$0] }, golden.lr)
    check({ warm[$0] }, golden.lrWarm)
    check({ decay[$0] }, golden.wd)
    check({ momentum[$0] }, golden.momentum)
    check({ temperature[$0] }, golden.teacherTemp)
  }

  @Test func warmUpIncludesBothEnds() throws {
    let schedule = try CosineSchedule("lr", from: 1, to: 0, steps: 10, warmUpSteps: 5)
    #expect([schedule[0], schedule[2], schedule[4], schedule[5]] == [0, 0.5, 1, 1])
    let single = try CosineSchedule("lr", from: 1, to: 0, steps: 10, warmUpSteps: 1, warmUpFrom: 0.25)
    #expect([single[0], single[1]] == [0.25, 1])
    let all = try CosineSchedule("lr", from: 1, to: 0, steps: 3, warmUpSteps: 3)
    #expect([all[0], all[1], all[2], all[3]] == [0, 0.5, 1, 1])
  }

  @Test func warmUpLongerThanTheRunIsRefusedAndSaysBoth() {
    let error = OptimizationError.warmUpLongerThanRun(schedule: "lr", warmUpSteps: 12, steps: 10)
    #expect(throws: error) { try CosineSchedule("lr", from: 1, to: 0, steps: 10, warmUpSteps: 12) }
    #expect(throws: OptimizationError.self) {
      try WarmUpSchedule("teacher_temp", from: 0.04, to: 0.07, steps: 10, warmUpSteps: 11)
    }
    #expect(
      error.description
        == "the warm-up of lr takes 12 steps, but the run has only 10. Shorten the warm-up, or give the run more epochs."
    )
  }

  @Test func stepsPastTheEndKeepTheLastValue() throws {
    let schedule = try CosineSchedule("lr", from: 1, to: 0, steps: 10)
    #expect(schedule[25] == schedule[9])
  }
}
