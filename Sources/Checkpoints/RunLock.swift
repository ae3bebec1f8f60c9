import Durability
import Synchronization

/// The lock of a run directory, and what holds where locks do not lock: each start writes a record of its own, and the one
/// before it finds another's in the place of its own before it changes anything again.
///
/// There are mounts that grant every lock, or keep locks to each host. A look opens the record, for that is what makes
/// a network mount ask its server; on a local disk it takes some microseconds.
final class RunLock: StorageLock {
  private let lock: any StorageLock
  private let record: String
  private let storage: any Storage
  /// The record as this start wrote it, and as it is about to; none before it wrote one.
  private let own = Mutex<[[UInt8]]>([])

  init(_ lock: any StorageLock, record: String, in storage: any Storage) {
    self.lock = lock
    self.record = record
    self.storage = storage
  }

  /// Has `write` put this start's record at its place. A first one takes the place of another start's.
  func replaceRecord(by bytes: [UInt8], _ write: () throws -> Void) throws {
    own.withLock { if !$0.isEmpty { $0.append(bytes) } }
    try write()
    own.withLock { $0 = [bytes] }
  }

  func verify() throws {
    try lock.verify()
    // One that cannot be read now says nothing: the lock holds.
    let own = own.withLock { $0 }
    guard !own.isEmpty, let found = storage.glance(at: record) else { return }
    guard own.contains(found) else { throw DurabilityError.overtaken(record: record) }
  }

  func release() { lock.release() }
}
