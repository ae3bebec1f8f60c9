import Messages

/// Which step's teacher is to be judged, and who is at it. One at a time: a worker goes on with it for as long as it
/// takes, beside later steps.
struct EvaluationBoard: Sendable {
  struct Asked: Sendable {
    var lease: LeaseID
    var step: Int
    var peer: PeerID
    var since: Instant
  }

  /// Nil: nothing is ever judged.
  let settings: EvaluationSettings?
  /// A step whose teacher is the newest and waits for somebody to judge it.
  var due: Int?
  var asked: Asked?
  /// Who was asked about the newest step that was due, and did not answer.
  var failed: Set<PeerID> = []
  /// Until then the end of the run waits; nil before the last step is done.
  var endsBefore: Instant?

  /// - Parameter step: to be computed next.
  init(_ settings: EvaluationSettings?, resuming step: Int, lastStep: Int) {
    self.settings = settings
    // Of a run that is done nobody is there to judge anything.
    if let settings, step < lastStep, step > settings.newest, step.isMultiple(of: settings.everySteps) { due = step }
  }

  func isDue(_ step: Int, last: Int) -> Bool {
    guard let settings else { return false }
    return step.isMultiple(of: settings.everySteps) || step == last
  }

  /// The lease that is judged in this worker's name.
  func lease(of peer: PeerID) -> LeaseID? { asked.flatMap { $0.peer == peer ? $0.lease : nil } }
}
