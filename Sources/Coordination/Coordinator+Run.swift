import Numerics

// MARK: - From step to step

extension Coordinator {
  mutating func updateFinished(_ updated: VersionIdentity, isHashed: Bool, _ effects: inout [Effect]) {
    guard case .updating(let end) = phase else {
      fatalError("invariant broken: an update finished that was not started")
    }
    invariant(updated.step == step + 1, "step \(updated.step) after step \(step)")
    version = updated
    exchange.isHashed = isHashed
    checkpoints.reached(step: step, at: now)
    beginStep()
    phase = .computing
    board?.windowMoved()
    if step == settings.lastStep, end == nil || end == .requested {
      phase = .concluding(Conclusion(.finished, givesUp: end == .requested))
    } else if let end {
      phase = .concluding(Conclusion(end))
    }
    evaluationReached(step, &effects)
  }

  var isUpdating: Bool { if case .updating = phase { true } else { false } }

  /// Nothing of the version's step is computed yet.
  mutating func beginStep() { current = StepState(of: tree, without: pictures.lost(in: step)) }

  mutating func stopRequested(_ effects: inout [Effect]) {
    switch phase {
    case .computing, .reducing, .updating: conclude(with: .requested, &effects)
    case .concluding(let end): phase = .concluding(Conclusion(end.reason, givesUp: true))
    case .leaving, .stopped: break
    }
  }

  /// No more work is given out or taken; the newest weights become durable, then it stops.
  mutating func conclude(with reason: StopReason, _ effects: inout [Effect]) {
    switch phase {
    case .concluding, .leaving, .stopped: return
    // An update that runs is waited for: it is short, and its weights are the newest.
    case .updating(let before):
      guard before == nil || before == .requested, reason != before else { return }
      phase = .updating(then: reason)
    case .computing, .reducing: phase = .concluding(Conclusion(reason))
    }
    if let why = reason.failure { effects.append(.log(.error, why)) }
    for lease in leases { drop(lease.id, tellWorker: true, &effects) }
  }

  /// Stops once nothing more is to be made durable.
  mutating func conclude(_ effects: inout [Effect]) {
    switch phase {
    case .concluding(let end)
    where checkpoints.inFlight == nil && checkpoints.durableStep == step && !awaitsEvaluation:
      endEvaluations(&effects)
      guard end.reason == .finished else {
        phase = .stopped
        return effects.append(.stop(end.reason))
      }
      phase = .leaving(until: now + CoordinationLimits.farewell)
      for peer in peers { effects.append(.send(.finished, to: peer.id)) }
      for shard in board?.shardsInOrder ?? [] where shard.connection.isHeard {
        if let peer = shard.connection.peer { effects.append(.send(.finished, to: peer)) }
      }
      conclude(&effects)
    // Whoever did not hear it says something within that time, and is told again.
    case .leaving(let until) where peers.isEmpty && !(board?.hasShardsHeard ?? false) || now >= until:
      phase = .stopped
      effects.append(.stop(.finished))
    case .computing, .reducing, .updating, .concluding, .leaving, .stopped:
      break
    }
  }
}

// MARK: - Checkpoints

extension Coordinator {
  /// Begins a checkpoint of the newest weights if one is due; one at a time, and not while the next weights are made.
  mutating func writeCheckpointIfDue(_ effects: inout [Effect]) {
    guard checkpoints.mayBegin(at: now), checkpoints.durableStep != step else { return }
    switch phase {
    case .concluding: break
    case .computing, .reducing:
      guard checkpoints.isDue(ofStep: step, at: now) else { return }
    case .updating, .leaving, .stopped: return
    }
    checkpoints.begin(step: step, at: now)
    effects.append(.writeCheckpoint(step: step))
  }

  mutating func checkpointFinished(_ step: Int, failure: String?, _ effects: inout [Effect]) {
    guard let failure else {
      checkpoints.succeeded(step: step, at: now)
      if case .concluding(let end) = phase { phase = .concluding(Conclusion(end.reason, givesUp: end.givesUp)) }
      return effects.append(.log(.info, "Checkpoint of step \(step) is durable."))
    }
    counts.failedCheckpoints += 1
    checkpoints.failed(step: step, at: now)
    effects.append(
      .log(
        .error,
        "The checkpoint of step \(step) failed: \(shortened(failure)). The run goes on; the next try is in "
          + "\(CoordinationLimits.checkpointRetry.words)."))
    guard case .concluding(var end) = phase else { return }
    end.failures += 1
    guard end.givesUp, end.failures >= CoordinationLimits.lastCheckpointTries else { return phase = .concluding(end) }
    let newest = checkpoints.durableStep.map { "the newest is of step \($0)" } ?? "there is none"
    let text = "The last checkpoint, of step \(self.step), could not be written (\(shortened(failure))): \(newest)."
    phase = .stopped
    let last: StopReason =
      switch end.reason {
      case .finished, .requested, .rollsBack: .retryable(text)
      case .failed(let why): .failed("\(why) \(text)")
      case .permanent(let why): .permanent("\(why) \(text)")
      case .retryable(let why): .retryable("\(why) \(text)")
      }
    effects.append(.stop(last))
  }
}
