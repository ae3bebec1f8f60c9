import Checkpoints
import Coordination
import Durability
import MemoryBank
import Numerics
import Training
import Wire

/// The thread that writes checkpoints, while the next steps are computed.
final class CoordinatorCheckpoints: Sendable {
  private let resumed: ResumedRun
  private let rows: RowStore
  private let incarnation: Incarnation
  private let log: ServiceLog
  /// The state machine begins one at a time; leaving adds one more.
  private let queue = BoundedQueue<(version: WeightsVersion, unaudited: [String: Int])>(capacity: 2)
  private let ended = BoundedQueue<Bool>(capacity: 1)

  init(resumed: ResumedRun, incarnation: Incarnation, log: @escaping ServiceLog) {
    self.resumed = resumed
    rows = resumed.rows
    self.incarnation = incarnation
    self.log = log
  }

  /// - Parameters:
  ///   - finish: takes each written step, and why it failed if it did.
  ///   - lose: takes the reason if no checkpoint of this process can be durable any more: it may not be the only
  ///     coordinator of its run directory, or the disk may lack rows that it took for written.
  func start(
    finish: @escaping @Sendable (_ step: Int, _ failure: String?) -> Void,
    lose: @escaping @Sendable (String) -> Void
  ) {
    startThread(named: "massl-checkpt") { [self] in
      while let (version, unaudited) = queue.next() {
        do {
          try resumed.directory.verifyLock()
          try write(version, unaudited)
          finish(version.step, nil)
        } catch DurabilityError.lockLost(let path) {
          lose("\(DurabilityError.lockLost(path: path))")
        } catch let error as MemoryBankError {
          // Not to be tried again: see `RowStore.flush`.
          lose("\(error)")
        } catch {
          finish(version.step, "\(error)")
        }
      }
      ended.close()
    }
  }

  /// - Parameter unaudited: by host, its first step before that of the weights with a result that nobody compared.
  func write(later version: WeightsVersion, unaudited: [String: Int]) {
    // Only a third at once would find no room, and nothing asks for one.
    invariant(queue.tryAppend((version, unaudited)), "a checkpoint too many")
  }

  /// Writes what waits, ends the thread and waits for it.
  func stop() {
    queue.close()
    _ = ended.next()
  }

  private func write(_ version: WeightsVersion, _ unaudited: [String: Int]) throws {
    let plan = resumed.plan
    // The manifest names rows: they must be durable before it is.
    try rows.flush()
    let manifest = Manifest(
      run: resumed.directory.run, incarnation: incarnation.number, step: version.step,
      epoch: plan.epoch(ofStep: version.step), student: version.studentDigest, teacher: version.teacherDigest,
      memory: version.memory, rows: version.rows, floor: version.floor,
      oldestRow: MemoryWindow(size: plan.configuration.memorySize, rows: version.rows, floor: version.floor)
        .stored.lowerBound,
      data: resumed.directory.data, configuration: plan.configuration.yaml(), changes: resumed.changes,
      optimizer: OptimizerRecord(kind: plan.configuration.optimizer.rawValue, steps: version.optimizer.steps),
      unaudited: unaudited)
    try resumed.checkpoints.write(version.content(plan), manifest)
    // The checkpoint is durable: what goes wrong in clearing up is no failure of it.
    do {
      let oldest = try resumed.checkpoints.prune(
        keeping: plan.configuration.keepCheckpoints, forGoodEvery: plan.configuration.keepEverySteps,
        newestWhole: version.step)
      if let oldest { try rows.prune(below: min(oldest, manifest.oldestRow)) }
    } catch {
      log(.warning, "Old checkpoints could not be removed: \(error)")
    }
  }
}
