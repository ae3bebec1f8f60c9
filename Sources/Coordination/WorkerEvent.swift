import Messages

/// What happens to a worker.
public enum WorkerEvent: Sendable {
  /// A coordinator said something on the control socket; `sender` is as it claims.
  case received(CoordinatorMessage, from: Sender)
  /// The connection was lost, or none stood, so that the last word never left.
  case connectionLost
  /// The control socket is of no use any more.
  case socketFailed(reason: String)
  /// The run that `.join` named was joined: leases are taken, and so many gradients may be kept for others.
  case joined(LeaseBounds, gradientRoom: Int)
  /// It cannot be joined.
  case couldNotJoin(reason: String)
  /// What becomes of a lease, in the session that began with this number's `.join`.
  case work(WorkerProgress, session: Int)
  /// Time passes; at least every half second.
  case tick
  /// SIGTERM, SIGINT: leave.
  case stopRequested
}

/// What becomes of a lease in the threads that compute and push.
public enum WorkerProgress: Sendable {
  /// All slices of a lease are added up.
  case computed(Finished)
  /// A lease cannot be computed here and now.
  case failed(Returned)
  /// So many slices of a lease are off their threads: computed, failed, or passed over.
  case slicesEnded(LeaseID, count: Int)
  /// The coordinator has all that it was pushed of a lease's payload.
  case pushed(LeaseID)
  /// It did not take the payload, or did not answer.
  case pushFailed(Returned)
  /// Chunks of gradients cannot be added up.
  case reductionFailed(ReductionFailure)
  /// A step's teacher is judged.
  case evaluated(Evaluated)
  /// It cannot be.
  case evaluationFailed(Returned)
}

/// What a worker does about it, in order.
public enum WorkerEffect: Sendable {
  case say(WorkerMessage, as: Sender)
  /// Make ready for a run, for the session with this number, and say `joined` or `couldNotJoin`.
  case join(Welcome, as: Sender, session: Int)
  /// The session is over: compute and push nothing of it any more.
  case leave
  /// Compute this lease, after those that came before it.
  case compute(Lease)
  /// Push this lease's payload, without its gradient if others are to fetch that here, and say `pushed` or `pushFailed`;
  /// one at a time.
  case push(LeaseID, keepsGradient: Bool)
  /// Add these chunks up and send the sums, or say `reductionFailed`; what was begun for an older one is given up.
  case reduce(Reduction)
  /// Judge a step's teacher beside all leases, and say `evaluated` or `evaluationFailed`; what was begun for an older one
  /// is given up.
  case evaluate(Evaluate)
  /// What is judged is no longer wanted, or was said.
  case stopEvaluating
  /// This lease is done, or no longer wanted: let its sum go, and pass over those of its slices that wait.
  case forget(LeaseID)
  case log(LogLevel, String)
  /// All is said: leave.
  case stop(WorkerEnding)
}

/// How a worker ends.
public enum WorkerEnding: Hashable, Sendable {
  /// The run is over.
  case finished
  /// Asked to.
  case stopped
  /// Nobody answered for so long that the coordinator was given up.
  case silent
  /// The coordinator will not work with this worker, or this worker not in its run.
  case turnedAway(reason: String)
  case socketFailed(reason: String)
}
