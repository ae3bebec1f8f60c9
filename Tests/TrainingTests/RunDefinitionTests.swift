import Configuration
import Optimization
import Testing
import Training

@Suite("Schedules follow passes over the pictures, to the bit") struct RunDefinitionTests {
  private func definition(pictures: Int = 1000, _ flags: (name: String, text: String)...) throws -> RunDefinition {
    let small = [
      ("embed-dim", "16"), ("depth", "1"), ("num-heads", "2"), ("patch-size", "8"), ("image-size", "16"),
      ("local-size", "8"), ("head-hidden-dim", "8"), ("bottleneck-dim", "8"), ("batch-size", "16"), ("slice-size", "4"),
      ("memory-size", "256"), ("block-size", "64"), ("epochs", "7"), ("warmup-epochs", "3"),
      ("warmup-teacher-temp-epochs", "4"),
    ]
    let configuration = try RunConfiguration(layers: [
      ConfigurationLayer(flags: small.map { (name: $0.0, text: $0.1) }), ConfigurationLayer(flags: flags),
    ])
    return try RunDefinition(configuration: configuration, pictures: pictures)
  }

  @Test func wholeEpochsHaveTheBitsThatTheyAlwaysHad() throws {
    let definition = try definition()
    let epoch = 1000 / 16
    let steps = 7 * epoch
    #expect(definition.lastStep == steps)
    let configuration = definition.configuration
    let rate = try CosineSchedule(
      "lr", from: configuration.scaledLR, to: configuration.minLR, steps: steps, warmUpSteps: 3 * epoch)
    let temperature = try WarmUpSchedule(
      "teacher_temp", from: configuration.warmupTeacherTemp, to: configuration.teacherTemp, steps: steps,
      warmUpSteps: 4 * epoch)
    let decay = try CosineSchedule(
      "weight_decay", from: configuration.weightDecay, to: configuration.weightDecayEnd, steps: steps)
    let momentum = try CosineSchedule("momentum_teacher", from: configuration.momentumTeacher, to: 1, steps: steps)
    for step in 0...steps {
      #expect(definition.learningRate[step].bitPattern == rate[step].bitPattern)
      #expect(definition.teacherTemperature[step].bitPattern == temperature[step].bitPattern)
      #expect(definition.weightDecay[step].bitPattern == decay[step].bitPattern)
      #expect(definition.momentum[step].bitPattern == momentum[step].bitPattern)
    }
  }

  @Test func aTenthOfAnEpochIsSoManySteps() throws {
    // 62 steps an epoch.
    let definition = try definition(("epochs", "0.5"), ("warmup-epochs", "0.1"), ("warmup-teacher-temp-epochs", "0.26"))
    #expect(definition.lastStep == 31)
    #expect(definition.learningRate.warmUpSteps == 6)
    #expect(definition.teacherTemperature.warmUpSteps == 16)
    #expect(definition.epochsBegun == 1 && definition.runningEpoch(afterStep: 31) == 1)
    // Nobody asks for a run without a step.
    let short = try self.definition(("epochs", "0.001"), ("warmup-epochs", "0"), ("warmup-teacher-temp-epochs", "0"))
    #expect(short.lastStep == 1)
  }

  @Test func aStepOfAnotherBatchIsAsManyPassesIn() throws {
    let (old, same) = (try definition(), try definition(("lr", "0.1"), ("epochs", "9")))
    for step in [0, 1, 61, 62, 300] { #expect(same.step(of: step, in: old) == step) }
    let (double, half) = (try definition(("batch-size", "32")), try definition(("batch-size", "8")))
    // 31 and 125 steps an epoch, where it has 62.
    for epoch in 0...7 {
      #expect(double.step(of: 62 * epoch, in: old) == 31 * epoch)
      #expect(half.step(of: 62 * epoch, in: old) == 125 * epoch)
    }
    #expect(double.step(of: 62 + 7, in: old) == 31 + 4)
    #expect(half.step(of: 62 + 31, in: old) == 125 + 63)
    // Nor does a step that no run comes to end the program.
    #expect(half.step(of: Int.max, in: old) == Int.max)
    // So a warm-up goes on, and does not go back: at step 124 two thirds of it are over.
    let scale = 2.0
    let step = double.step(of: 124, in: old)
    #expect(abs(double.learningRate[step] / scale - old.learningRate[124]) < 0.02 * old.learningRate[124])
  }

  @Test(arguments: [(0, true), (3, true), (2, false), (1, false)])
  func mostNewRowsAreDrawnWhereMostOfTheMemoryIs(blocks: Int, most: Bool) throws {
    let definition = try definition(("blocks-per-step", "\(blocks)"), ("memory-dtype", "fp16"))
    #expect(definition.drawsMostNewRows == most)
    #expect(definition.newRowFloats == 16 * 8 / 2)
  }
}
