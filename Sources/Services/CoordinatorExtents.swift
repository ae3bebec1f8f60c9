import Coordination
import Durability
import MemoryBank
import Numerics
import Wire

/// The coordinator's part in who holds which extent: writes the ledger, lets go of files that shards hold, and copies
/// back what a drained shard had. In a thread of its own, for disks make it wait.
final class CoordinatorExtents: Sendable {
  enum Work: Sendable {
    case writeLedger(number: UInt64, Ledger)
    case release([Int])
  }

  private let rows: RowStore
  private let copying: ExtentCopying
  private let log: ServiceLog
  private let queue = BoundedQueue<Work>(capacity: 64)
  private let ended = BoundedQueue<Bool>(capacity: 1)

  /// - Parameters:
  ///   - clients: connections to shards.
  ///   - report: takes what came of it.
  init(
    rows: RowStore, clients: SourceClients, log: @escaping ServiceLog, report: @escaping @Sendable (Event) -> Void
  ) {
    self.rows = rows
    self.log = log
    copying = ExtentCopying(
      layout: rows.layout, begin: { try rows.begin($0) }, client: { try clients.client(of: $0) }
    ) { outcome in
      switch outcome {
      case .held(let record): report(.extentFetched(record.index, failure: nil))
      case .noRoom(let extent, let reason), .failed(let extent, let reason):
        report(.extentFetched(extent, failure: reason))
      }
    }
    startThread(named: "massl-extents") { [self] in
      while let work = queue.next() { carryOut(work, report) }
      ended.close()
    }
  }

  /// - Returns: false if too much waits: the state machine says it again.
  func add(_ work: Work) -> Bool { queue.tryAppend(work) }

  func fetch(_ extents: [AssignedExtent]) { copying.copy(extents) }

  func stop() {
    copying.stop()
    queue.close()
    _ = ended.next()
  }

  private func carryOut(_ work: Work, _ report: (Event) -> Void) {
    switch work {
    case .writeLedger(let number, let ledger):
      do {
        try rows.record(ledger)
        report(.ledgerWritten(number: number, failure: nil))
      } catch {
        report(.ledgerWritten(number: number, failure: "\(error)"))
      }
    case .release(let extents):
      do {
        try rows.release(Set(extents))
      } catch {
        log(.warning, "Files of extents that shards hold could not be removed: \(error)")
      }
    }
  }
}
