import Networks
import Numerics
import Optimization
import Training

/// `massl bench update`: clipping, optimizer, teacher average and digests over all cores, in bytes that must be read or
/// written, beside a copy.
public enum UpdateAlone {
  public static func measure(_ definition: RunDefinition, rounds: Int) throws -> Figure {
    let count = definition.layout.count
    func weights(_ seed: UInt64) -> FloatBuffer { initialParameters(layout: definition.layout, seed: seed) }
    let (student, teacher, gradient) = (weights(1), weights(2), weights(3))
    let (nextStudent, nextTeacher) = (FloatBuffer(count: count), FloatBuffer(count: count))
    let state = definition.optimizer.makeState()
    var nextState = definition.optimizer.makeState()
    var digest = ""
    let seconds = try Timing.medians(
      rounds: rounds,
      [
        { MemoryCopy.run(gradient, into: nextTeacher) },
        {
          _ = definition.optimizer.update(
            student, gradient: gradient, state: state, learningRate: 1e-4, weightDecay: 0.04, into: nextStudent,
            &nextState)
          averageTeacher(teacher, student: nextStudent, momentum: 0.99, into: nextTeacher)
          digest = "\(nextStudent.digest)"
          _ = nextTeacher.digest
        },
      ])
    let bytes = Double(count) * 4
    return Figure(
      "update", bytes * Double(definition.optimizer.rule.floatsPassedPerWeight) / seconds[1] / 1e9, unit: "GB/s",
      ceiling: .init("copy", 2 * bytes / seconds[0] / 1e9), digest: digest)
  }
}
