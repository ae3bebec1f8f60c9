import Checkpoints
import Coordination
import Durability
import Foundation
import Messages
import Numerics
import Runs
import Telemetry
import Training
import Vision
import Wire

// MARK: - Events

extension CoordinatorService {
  func receive(_ event: SocketEvent) {
    switch event {
    case .received(.message(let incoming)):
      switch incoming.envelope.message {
      case .worker(let message): handle(.message(message, from: incoming.envelope.sender, origin: incoming.origin))
      case .shard(let message): handle(.shardMessage(message, from: incoming.envelope.sender))
      case .coordinator, .bulkRequest, .bulkReply:
        handle(.malformed(from: incoming.peer, reason: "not a worker's message"))
      }
    case .received(.malformed(let peer, let error, _)): handle(.malformed(from: peer, reason: error.description))
    case .received(.disconnected(let peer)): if let peer { handle(.disconnected(peer)) }
    case .undelivered: break
    case .tick:
      // One that lost its lock stops, though it may have nothing to write: workers would go on computing for it.
      do { try directory.verifyLock() } catch { return end(.retryable("\(error)")) }
      handle(.tick)
    case .failed(let error): end(.failed("The control socket failed: \(error)"))
    }
  }

  /// Gives the state machine an event and carries out what it says, in order: one event at a time.
  /// - Parameter isCurrent: whether it still is; asked when no other event is handled.
  func handle(_ event: Event, if isCurrent: () -> Bool = { true }) {
    control.withLock { control in
      guard !control.hasEnded, isCurrent() else { return }
      for effect in control.coordinator.handle(event, at: .now) {
        carryOut(effect, &control)
        if control.hasEnded { return }
      }
    }
  }

  private func carryOut(_ effect: Effect, _ control: inout Control) {
    switch effect {
    case .send(let message, let peer): send(message, to: peer, control)
    case .sendStatus(let peer): send(.status(json: status(control).json()), to: peer, control)
    case .sendMemory(let peer):
      let status = control.coordinator.memoryStatus(at: .now)
      send(.memory(json: status?.json() ?? "{}"), to: peer, control)
    case .writeLedger(let number, let ledger): extents.add(.writeLedger(number: number, ledger))
    case .releaseExtents(let released): extents.add(.release(released))
    case .fetchExtent(let extent): extents.add(.fetch(extent))
    case .probe(let address): probes.begin(at: address) { [self] in handle($0) }
    case .raiseFloor(let floor): weights.raiseFloor(to: floor)
    case .hashWeights(let isHashing): updates.hash(isHashing)
    case .nameWeightSources(let sources, let step): weights.name(sources, ofStep: step)
    case .expectPush(let lease, let peer, let finished, let keepsGradient):
      desk.expect(lease, from: peer, finished, keepsGradient: keepsGradient)
    case .abandonPush(let lease): desk.abandon(lease)
    case .accept(let lease, let finished):
      guard let arrival = desk.take(lease) else {
        fatalError("invariant broken: lease \(lease.number) is accepted without its payload")
      }
      if finished.gradient == nil, let gradient = arrival.gradient {
        updates.add(
          .add(SliceSum(gradient: gradient, results: arrival.results), from: arrival.peer, arrival.traffic))
      } else {
        reduction.accept(arrival)
      }
    case .forgetResult(let node): reduction.forget(node)
    case .expectSums(let expected): reduction.expect(expected)
    case .abandonSums:
      reduction.abandon()
      reducer.abandon()
    case .reduce(let order): reducer.add(order)
    case .startUpdate(let step):
      reducer.abandon()
      updates.add(.update(step: step, reduced: reduction.take()))
    case .writeCheckpoint(let step):
      let version = weights.current
      invariant(version.step == step, "a checkpoint of step \(step), but the weights are of step \(version.step)")
      checkpoints.write(later: version, CoordinatorCheckpoints.Learned(by: control.coordinator, before: step))
    case .evaluated(let evaluation): take(evaluation, &control)
    case .recompute(let step, let slices, let hashesGradient):
      recomputation.recompute(
        slices, of: step, without: control.coordinator.lostPictures, hashesGradient: hashesGradient)
    case .examinePicture(let picture): pictures.examine(picture)
    case .recordLost(let lost): record(lost, &control)
    case .startOver:
      updates.add(.startOver)
      reduction.startOver()
      reducer.abandon()
      recomputation.startOver()
    case .quarantine(let hosts, let step):
      do {
        try directory.quarantine(hosts, rollingBackTo: step)
      } catch {
        let names = hosts.map { "'\($0.host)'" }.joined(separator: ", ")
        end(.retryable("Host \(names) gave wrong results, and its quarantine could not be stored: \(error)"), &control)
      }
    case .stop(let reason):
      // Without its lock it speaks of a run that another goes on with: that nothing helps, for one, is not for it to say.
      do { try directory.verifyLock() } catch { return end(.retryable("\(error)"), &control) }
      control.hasEnded = true
      _ = outcome.tryAppend(reason)
    case .log(let level, let text): log(level, text)
    }
  }

  private func take(_ evaluation: Coordination.Evaluation, _ control: inout Control) {
    let record = EvaluationRecord(evaluation)
    control.evaluation = record
    log(.info, "Step \(record.step): \(record.words) (\(record.pictures) pictures).")
    control.evaluated?(record)
  }

  private func record(_ lost: [LostPicture], _ control: inout Control) {
    let data = pictures.data
    do {
      try directory.lose(
        lost.map {
          LostPictureRecord(
            picture: $0.picture, step: $0.step, path: data.pathBytes($0.picture), size: data.size($0.picture))
        })
      pictures.forget(lost.map(\.picture))
    } catch {
      end(.retryable("Pictures cannot be read any more, and that could not be stored: \(error)"), &control)
    }
  }

  private func send(_ message: CoordinatorMessage, to peer: PeerID, _ control: borrowing Control) {
    // A full outbox drops it; the state machine lives with lost messages.
    _ = control.thread?.send(Outgoing(Envelope(sender: sender, message: .coordinator(message)), to: peer))
  }

  /// What the state machine does not know of makes it stop.
  func end(_ reason: StopReason) {
    control.withLock { end(reason, &$0) }
  }

  private func end(_ reason: StopReason, _ control: inout Control) {
    guard !control.hasEnded else { return }
    control.hasEnded = true
    if let why = reason.failure { log(.error, why) }
    _ = outcome.tryAppend(reason)
  }
}

extension EvaluationRecord {
  fileprivate init(_ evaluation: Coordination.Evaluation) {
    let figures = evaluation.figures
    self.init(
      step: evaluation.step, rankMe: figures.rankMe, lidar: figures.lidar, alphaReQ: figures.alphaReQ,
      knn: figures.asked > 0 ? Double(figures.right) / Double(figures.asked) : nil, pictures: figures.pictures,
      seconds: evaluation.duration / .seconds(1), unixSeconds: Date().timeIntervalSince1970)
  }
}

// MARK: - Status

extension CoordinatorService {
  private func status(_ control: borrowing Control) -> RunStatus {
    let version = weights.current
    return RunStatus(
      coordination: control.coordinator.status(at: .now), run: directory.run.description, definition: definition,
      probe: control.coordinator.probe.map { "\($0)" },
      newest: control.newest?.record, evaluation: control.evaluation, isRunning: true,
      memory: RunStatus.Memory(size: definition.configuration.memorySize, rows: version.rows),
      digests: RunStatus.Digests(
        student: "\(version.studentDigest)", teacher: "\(version.teacherDigest)", memory: "\(version.memory)"))
  }
}
