import Coordination
import Messages
import Numerics
import TestSupport

/// Evaluations of teachers, which take workers a while and must change nothing.
extension Simulation {
  /// Of the sample.
  private static let pictures = [3, 14, 159]
  private static let width = 100

  var evaluation: EvaluationSettings? {
    guard evaluates else { return nil }
    return EvaluationSettings(
      everySteps: 2, pictures: Self.pictures, classes: [0, nil, 1], width: Self.width, newest: evaluatedSteps.last ?? 0)
  }

  /// What the disk has of steps that are about to be done again goes.
  mutating func openEvaluations(resuming step: Int) { evaluatedSteps.removeAll { $0 > step } }

  mutating func evaluate(_ evaluate: Evaluate, _ index: Int) {
    workers[index].evaluating = evaluate.lease
    var duration = random.next(below: 5 * Self.second)
    if random.chance(faults.workerHang) { duration += random.next(below: 300 * Self.second) }
    schedule(
      .evaluated(index, life: workers[index].process.life, session: workers[index].session, evaluate), in: duration)
  }

  mutating func evaluated(_ evaluate: Evaluate, _ session: Int, _ index: Int) {
    guard session == workers[index].session, workers[index].evaluating == evaluate.lease else { return }
    if random.chance(faults.givingBack) {
      return tell(
        .work(.evaluationFailed(Returned(lease: evaluate.lease, reason: "read error")), session: session),
        worker: index)
    }
    var figures = Self.figures(ofTeacher: evaluate.teacher, evaluate.pictures.count)
    if bug == .evaluatesAnotherTeacher { figures.rankMe += 1 }
    if random.chance(faults.nonsense) { figures.rankMe = 1e9 }
    tell(.work(.evaluated(Evaluated(lease: evaluate.lease, figures: figures)), session: session), worker: index)
  }

  private static func figures(ofTeacher teacher: Digest, _ pictures: Int) -> Evaluated.Figures {
    Evaluated.Figures(
      pictures: pictures, rankMe: Double(teacher.low % UInt64(width)), lidar: 1, alphaReQ: 1, right: 0, asked: 1)
  }

  /// Once a step, ascending, with what a right worker says of that step's teacher.
  mutating func record(_ evaluation: Evaluation) {
    if coordinator.hasLostLock { return }
    if evaluation.step <= evaluatedSteps.last ?? 0 {
      fail("step \(evaluation.step) is evaluated after step \(evaluatedSteps.last ?? 0)")
    }
    if evaluation.step % 2 != 0, evaluation.step != lastStep {
      fail("step \(evaluation.step) is evaluated out of turn")
    }
    let right = Self.figures(ofTeacher: truth.versions[evaluation.step].teacher, evaluation.figures.pictures)
    if evaluation.figures != right, !mayBeSpoilt { fail("step \(evaluation.step) has another teacher's figures") }
    evaluatedSteps.append(evaluation.step)
    note(evaluation.step == lastStep ? "evaluationsOfTheLast" : "evaluations")
    if evaluation.step < coordinator.version.step { note("lateEvaluations") }
  }
}
