import Coordination
import Foundation
import MemoryBank
import Messages
import Networks
import Numerics
import Slices
import Synchronization
import Threads
import Training
import Vision

/// The thread in which the coordinator computes slices itself, to judge workers' answers.
///
/// Judging is rare, so its workspace, which has the size of a worker's thread's, is there only while something is judged.
final class Recomputation: Sendable {
  private struct Work: Sendable {
    let step: Int
    let slices: SliceRange
    /// Pictures that the run has lost by this step.
    let lost: Set<Int>
    let hashesGradient: Bool
    /// How often a step had begun again.
    let restarts: Int
  }

  /// A recomputation that is of no use any more.
  private struct Outdated: Error {}

  /// This machine does not compute in the run's class.
  private struct OtherClass: Error, CustomStringConvertible {
    let description = "its machine cannot compute in the run's compute class"
  }

  private let definition: RunDefinition
  private let pictures: CoordinatorPictures
  private let rows: RowStore
  /// Connections to shards; ended by `stop`.
  private let clients: SourceClients
  private let weights: PublishedWeights
  private let computes: Bool
  /// What waits, all of one step.
  private let waiting = Mutex<[Work]>([])
  /// Wakes the thread when something does.
  private let wake = BoundedQueue<Bool>(capacity: 1)
  private let ended = BoundedQueue<Bool>(capacity: 1)
  private let isStopping = Atomic(false)
  private let restarts = Atomic(0)
  /// Between looks for rows that nobody gave.
  private static let pause = 0.5

  /// - Parameter computes: false where this machine cannot compute in the run's class: then every node is answered with
  ///   that, and workers of other hosts have to judge.
  init(
    definition: RunDefinition, pictures: CoordinatorPictures, rows: RowStore, weights: PublishedWeights,
    clients: SourceClients, computes: Bool
  ) {
    self.definition = definition
    self.pictures = pictures
    self.rows = rows
    self.weights = weights
    self.clients = clients
    self.computes = computes
  }

  /// - Parameters:
  ///   - holders: a piece of the table of who holds which extent: so many from one on.
  ///   - report: takes the recomputations, in the thread, each with how often a step had begun again when it was asked for.
  func start(
    holders: @escaping @Sendable (_ first: Int, _ count: Int) -> HolderTable,
    report: @escaping @Sendable (Event, _ restarts: Int) -> Void
  ) {
    startThread(named: "massl-recompute") { [self] in
      while wake.next() != nil { recomputeWhatWaits(holders, report) }
      ended.close()
    }
  }

  /// Never waits. Nodes of other steps that are waiting are forgotten: nobody waits for them.
  /// - Parameter hashesGradient: as in a lease.
  func recompute(_ slices: SliceRange, of step: Int, without lost: [Int], hashesGradient: Bool) {
    let work = Work(
      step: step, slices: slices, lost: Set(lost), hashesGradient: hashesGradient,
      restarts: restarts.load(ordering: .acquiring))
    waiting.withLock { waiting in
      waiting.removeAll { $0.step != step }
      waiting.append(work)
    }
    _ = wake.tryAppend(true)
  }

  /// The step begins again: recomputations that were asked for before are of no use.
  func startOver() {
    restarts.wrappingAdd(1, ordering: .acquiringAndReleasing)
    waiting.withLock { $0 = [] }
  }

  /// Whether no step has begun again since.
  func isCurrent(_ restarts: Int) -> Bool { self.restarts.load(ordering: .acquiring) == restarts }

  /// Ends the thread after the slice that it is at, and waits for it.
  func stop() {
    isStopping.store(true, ordering: .releasing)
    clients.stop()
    waiting.withLock { $0 = [] }
    wake.close()
    _ = ended.next()
  }

  private func next() -> Work? { waiting.withLock { $0.isEmpty ? nil : $0.removeFirst() } }

  private func recomputeWhatWaits(_ holders: (Int, Int) -> HolderTable, _ report: (Event, Int) -> Void) {
    var computer: SliceComputer?
    var inputs: StepInputs?
    while let work = next() {
      do {
        guard computes else { throw OtherClass() }
        // The coordinator waits for no recomputation of another step.
        if inputs?.step != work.step { inputs = try makeInputs(of: work.step, holders) }
        computer = try computer ?? SliceComputer(definition)
        if let inputs, let computer { report(try recompute(work, inputs, computer), work.restarts) }
      } catch is Outdated {
      } catch {
        report(.recomputationFailed(step: work.step, work.slices, reason: "\(error)"), work.restarts)
      }
    }
  }

  private func makeInputs(of step: Int, _ holders: (Int, Int) -> HolderTable) throws -> StepInputs {
    let version = weights.current
    let configuration = definition.configuration
    let cache = RowCache(memorySize: configuration.memorySize, bytes: 0, seeded: definition.seededRows)
    let shards = RowHolders(layout: rows.layout, peer: PeerID(rawValue: 0), asksCoordinator: false) { [clients] in
      try clients.client(of: $0)
    }
    var blocks = StepBlocks(
      definition, of: version.memoryVersion, from: cache, into: FloatBuffer(count: definition.blockFloats))
    while true {
      guard weights.current.step == step, !isStopping.load(ordering: .acquiring) else { throw Outdated() }
      // As a step waits for rows whose shards are away, so does its recomputation.
      do {
        // Rows that are here come from here, the others from shards.
        try blocks.read(from: rows)
        let stored = definition.memoryWindow(of: version.memoryVersion).stored
        if !stored.isEmpty { try shards.take(rows: stored, piece: holders) }
        try blocks.fetch(below: version.rows, from: shards, keeping: cache)
        break
      } catch let error as BulkError where error.isPassing {
        Thread.sleep(forTimeInterval: Self.pause)
      }
    }
    return StepInputs(
      definition, step: step, student: NetworkWeights(version.student, definition.precision),
      teacher: NetworkWeights(version.teacher, definition.precision), memory: blocks.memory)
  }

  private func recompute(_ work: Work, _ inputs: StepInputs, _ computer: SliceComputer) throws -> Event {
    var notFinite: [Int] = []
    var sum = TreeSum<SliceSum>(tree: SliceTree(count: work.slices.count))
    for slice in work.slices.indices {
      guard weights.current.step == work.step, isCurrent(work.restarts) else { throw Outdated() }
      let result = try computer.compute(
        step: work.step, slice: slice, student: inputs.student, teacher: inputs.teacher, blocks: inputs.blocks,
        into: FloatBuffer(count: definition.layout.count), without: work.lost,
        bytes: { [pictures] in try pictures.read($0) })
      if !result.isFinite { notFinite.append(slice) }
      sum.insert(result, at: SliceRange(first: slice - work.slices.first, count: 1)) { SliceSum.adding($0, $1) }
    }
    guard let total = sum.total else { throw Outdated() }
    // Of finite slices the sum may be none.
    if notFinite.isEmpty, !total.isFinite { notFinite = Array(work.slices.indices) }
    let hashes = work.hashesGradient ? total.gradientHashes : nil
    return .recomputed(total.finished(lease: LeaseID(0), step: work.step, hashes: hashes), notFinite: notFinite)
  }
}

extension SliceSum {
  /// Losses, gradient, rows and statistics.
  var isFinite: Bool {
    losses.allSatisfy { $0.total.isFinite && $0.targetEntropy.isFinite } && Numerics.isFinite(gradient.vector)
      && Numerics.isFinite(tail.vector)
  }

  /// One a chunk of the gradient.
  var gradientHashes: [ContentHash] { gradient.contentHashes(ofChunks: WireLimits.gradientChunkFloats) }

  /// What a worker announces of it.
  /// - Parameter hashes: one a chunk of the gradient, if the lease asks for them.
  func finished(lease: LeaseID, step: Int, hashes: [ContentHash]? = nil) -> Finished {
    let digest = gradient.digest
    return Finished(
      lease: lease, step: step, slices: slices, payload: Self.payloadDigest(gradient: digest, tail: tail.digest),
      payloadCount: payloadCount, losses: losses, chosen: chosen, undecodable: undecodable,
      gradient: hashes.map { GradientIdentity(digest: digest, chunks: $0) })
  }
}
