import Coordination
import Durability
import MemoryBank
import Messages
import Numerics
import Synchronization
import Threads

/// The coordinator's part in who holds which extent: writes the ledger, lets go of files that shards hold, and copies
/// back what a drained shard had. In a thread of its own, for disks make it wait.
final class CoordinatorExtents: Sendable {
  enum Work: Sendable {
    case writeLedger(number: UInt64, Ledger)
    case release([Int])
    /// After what was to be let go of before: a file that is on its way out is no copy.
    case fetch(AssignedExtent)
  }

  private let rows: RowStore
  private let clients: SourceClients
  private let bytesPerSecond: Int
  private let log: ServiceLog
  private let copying = Mutex<ExtentCopying?>(nil)
  private let report = Mutex<(@Sendable (Event) -> Void)?>(nil)
  /// The state machine has one ledger written at a time, and says nothing of files meanwhile.
  private let queue = BoundedQueue<Work>(capacity: 1024)
  private let ended = BoundedQueue<Bool>(capacity: 1)

  /// - Parameters:
  ///   - clients: connections to shards.
  ///   - bytesPerSecond: that are copied back at most; 0: no bound.
  init(rows: RowStore, clients: SourceClients, bytesPerSecond: Int, log: @escaping ServiceLog) {
    self.bytesPerSecond = bytesPerSecond
    self.rows = rows
    self.clients = clients
    self.log = log
  }

  /// - Parameter report: takes what came of it, in other threads.
  func start(report: @escaping @Sendable (Event) -> Void) {
    let copying = ExtentCopying(
      layout: rows.layout, clients: clients, bytesPerSecond: bytesPerSecond, begin: { [rows] in try rows.begin($0) }
    ) { outcome in
      switch outcome {
      case .held(let record): report(.extentFetched(record.index, failure: nil))
      case .noRoom(let extent, let reason), .failed(let extent, let reason):
        report(.extentFetched(extent, failure: reason))
      }
    }
    self.copying.withLock { $0 = copying }
    self.report.withLock { $0 = report }
    startThread(named: "massl-extents") { [self] in
      while let work = queue.next() { carryOut(work, report) }
      ended.close()
    }
  }

  /// What finds no room is dropped: files that stay do no harm, and a ledger or an extent is asked for again.
  func add(_ work: Work) {
    guard !queue.tryAppend(work) else { return }
    log(.warning, "The disk is too slow for the memory's extents: some stay here.")
    guard case .fetch(let assigned) = work else { return }
    // From another thread: whoever asks is in the middle of an event.
    startThread(named: "massl-extents") { [self] in
      report.withLock { $0 }?(.extentFetched(assigned.extent.index, failure: "the disk is too slow"))
    }
  }

  func stop() {
    // Let go of, for what it reports to holds this.
    report.withLock { $0 = nil }
    let last = copying.withLock { copying in
      defer { copying = nil }
      return copying
    }
    last?.stop()
    queue.close()
    _ = ended.next()
  }

  private func carryOut(_ work: Work, _ report: (Event) -> Void) {
    switch work {
    case .writeLedger(let number, let ledger):
      do {
        // Shards that went leave no trace, so all extents are said.
        let holders = ledger.entries.map { entry in
          (entry.extent.index, entry.holders.map(\.digest))
        }
        let shards = ledger.shards.map { shard, known in
          (
            shard.digest,
            ExtentLedger.Shard(
              name: known.name, endpoint: known.endpoint?.description, isDraining: known.isDraining)
          )
        }
        try rows.record(
          holders: Dictionary(uniqueKeysWithValues: holders), shards: Dictionary(uniqueKeysWithValues: shards))
        report(.ledgerWritten(number: number, failure: nil))
      } catch {
        report(.ledgerWritten(number: number, failure: "\(error)"))
      }
    case .fetch(let assigned): copying.withLock { $0 }?.copyToo(assigned)
    case .release(let extents):
      do {
        try rows.release(extents)
      } catch {
        log(.warning, "Files of extents that shards hold could not be removed: \(error)")
      }
    }
  }
}
