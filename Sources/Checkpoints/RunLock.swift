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
  /// The record as this start wrote it; nil before.
  private let own = Mutex<[UInt8]?>(nil)

  init(_ lock: any StorageLock, record: String, in storage: any Storage) {
    self.lock = lock
    self.record = record
    self.storage = storage
  }

  /// This start's record is at its place.
  func hold(_ bytes: some Collection<UInt8>) { own.withLock { $0 = Array(bytes) } }

  func verify() throws {
    try lock.verify()
    // One that cannot be read now says nothing: the lock holds.
    guard let own = own.withLock({ $0 }), let found = storage.glance(at: record) else { return }
    guard found == own else { throw DurabilityError.overtaken(record: record) }
  }

  func release() { lock.release() }
}
