import Checkpoints
import Coordination
import Durability
import MemoryBank
import Messages
import Numerics
import Runs
import Synchronization
import Threads
import Training

/// The thread that has checkpoints written while the next steps are computed, each by a thread of its own.
///
/// That one stands back while the run goes on: copying weights into the system's cache costs as much processor time as
/// a tenth of a small network's step, which the slices would lack. The last checkpoint of a run that leaves does not, and
/// one that is under way then begins anew: a thread cannot leave the background, and beside other loads takes minutes there.
final class CoordinatorCheckpoints: Sendable {
  /// What the state machine has learned by a step, and a resumed one must know.
  struct Learned: Sendable {
    /// By host: its first step before with a result that nobody compared.
    var unaudited: [String: Int]
    /// Pictures that do not decode.
    var undecodable: Set<Int>
    /// Workers'.
    var probe: Digest?

    init(by coordinator: borrowing Coordinator, before step: Int) {
      unaudited = coordinator.unauditedHosts(before: step)
      undecodable = coordinator.undecodablePictures
      probe = coordinator.probe
    }
  }

  /// The run leaves while a checkpoint is written in the background.
  private struct Hurried: Error {}

  private let definition: RunDefinition
  private let directory: RunDirectory
  private let checkpoints: CheckpointDirectory
  private let rows: RowStore
  private let incarnation: Incarnation
  private let log: ServiceLog
  /// The state machine begins one at a time; leaving adds one more.
  private let queue = BoundedQueue<(version: WeightsVersion, known: Learned)>(capacity: 2)
  private let ended = BoundedQueue<Bool>(capacity: 1)
  private let isLeaving = Atomic<Bool>(false)

  init(resumed: ResumedRun, incarnation: Incarnation, log: @escaping ServiceLog) {
    // Not the whole of it: it has the weights that the run began with, which nobody needs after the first step.
    definition = resumed.definition
    directory = resumed.directory
    checkpoints = resumed.checkpoints
    rows = resumed.rows
    self.incarnation = incarnation
    self.log = log
  }

  /// - Parameters:
  ///   - finish: takes each written step, and why it failed if it did.
  ///   - memory: takes which extents are whole and durable, and which rows checkpoints need.
  ///   - lose: takes the reason if no checkpoint of this process can be durable any more: it may not be the only
  ///     coordinator of its run directory, or the disk may lack rows that it took for written.
  func start(
    finish: @escaping @Sendable (_ step: Int, _ failure: String?) -> Void,
    memory: @escaping @Sendable (Event) -> Void,
    lose: @escaping @Sendable (String) -> Void
  ) {
    startThread(named: "massl-checkpts") { [self] in
      while let (version, known) = queue.next() {
        do {
          try directory.verifyLock()
        } catch {
          lose("\(error)")
          continue
        }
        var failure = write(version, known, memory, standsBack: !isLeaving.load(ordering: .acquiring))
        if failure is Hurried { failure = write(version, known, memory, standsBack: false) }
        switch failure {
        case nil: finish(version.step, nil)
        // Not to be tried again: see `RowStore.flush`.
        case let error as MemoryBankError: lose("\(error)")
        case let error as DurabilityError where error.isLostLock: lose("\(error)")
        case let error?: finish(version.step, "\(error)")
        }
      }
      ended.close()
    }
  }

  /// The run leaves: from now on checkpoints do not stand back.
  func hurry() { isLeaving.store(true, ordering: .releasing) }

  func write(later version: WeightsVersion, _ known: Learned) {
    // Only a third at once would find no room, and nothing asks for one.
    invariant(queue.tryAppend((version, known)), "a checkpoint too many")
  }

  /// Writes what waits, ends the thread and waits for it.
  func stop() {
    hurry()
    queue.close()
    _ = ended.next()
  }

  /// Writes in a thread of its own, and waits for it.
  /// - Returns: why it could not; `Hurried` if it stands back and the run leaves.
  private func write(
    _ version: WeightsVersion, _ known: Learned, _ memory: @escaping @Sendable (Event) -> Void, standsBack: Bool
  ) -> (any Error)? {
    let result = BoundedQueue<(any Error)?>(capacity: 1)
    let writing: @Sendable () -> Void = { [self] in
      do {
        try write(version, known, memory) {
          if standsBack, isLeaving.load(ordering: .acquiring) { throw Hurried() }
        }
        result.append(nil)
      } catch {
        result.append(error)
      }
    }
    // Without a thread of its own it is written here, beside whoever else computes.
    if tryStartThread(named: "massl-checkpt", standsBack: standsBack, writing) != 0 { writing() }
    return result.next() ?? nil
  }

  private func write(
    _ version: WeightsVersion, _ known: Learned, _ memory: (Event) -> Void, unless check: () throws -> Void
  ) throws {
    // The manifest names rows: they must be durable before it is.
    for record in try rows.flush() { memory(.extentSealed(record.identity)) }
    let manifest = Manifest(
      run: directory.run, incarnation: incarnation.number, step: version.step,
      epoch: definition.epoch(ofStep: version.step), student: version.studentDigest, teacher: version.teacherDigest,
      memory: version.memory, rows: version.rows, floor: version.floor,
      oldestRow: MemoryWindow(size: definition.configuration.memorySize, rows: version.rows, floor: version.floor)
        .stored.lowerBound,
      data: directory.data, configuration: definition.configuration.yaml(), changes: version.changes,
      optimizer: OptimizerRecord(kind: definition.configuration.optimizer.rawValue, steps: version.optimizer.steps),
      unaudited: known.unaudited, undecodable: known.undecodable.sorted(), probe: known.probe)
    try checkpoints.write(version.content(definition), manifest, unless: check)
    // The checkpoint is durable: what goes wrong in clearing up is no failure of it.
    do {
      let needed = try checkpoints.prune(
        keeping: definition.configuration.keepCheckpoints, forGoodEvery: definition.configuration.keepEverySteps,
        keepsRows: definition.configuration.keepMemory, newestWhole: version.step)
      if let oldest = needed.oldestOfRecent {
        try rows.prune(below: min(oldest, manifest.oldestRow), except: needed.keptForGood)
      }
      if let oldest = needed.oldest, let settled = needed.settled {
        memory(.rowsNeeded(from: min(oldest, manifest.oldestRow), settled: settled))
      }
    } catch {
      log(.warning, "Old checkpoints could not be removed: \(error)")
    }
  }
}
