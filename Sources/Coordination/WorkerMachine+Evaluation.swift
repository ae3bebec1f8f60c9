import Messages

extension WorkerMachine {
  /// The newest evaluation counts: a number says which that is.
  mutating func take(_ evaluate: Evaluate, _ effects: inout [WorkerEffect]) {
    guard let bounds, evaluate.lease > evaluation?.lease ?? LeaseID(0) else { return }
    if let problem = bounds.problem(of: evaluate) {
      let returned = Returned(lease: evaluate.lease, reason: "it cannot be evaluated: \(problem)")
      return effects.append(.say(.returned(returned), as: sender))
    }
    evaluation = (evaluate.lease, nil)
    effects.append(.evaluate(evaluate))
  }

  /// - Returns: whether the lease is the evaluation's.
  mutating func forgetEvaluation(_ lease: LeaseID, _ effects: inout [WorkerEffect]) -> Bool {
    guard evaluation?.lease == lease else { return false }
    evaluation = nil
    effects.append(.stopEvaluating)
    return true
  }
}
