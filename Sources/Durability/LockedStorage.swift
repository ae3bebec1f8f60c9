/// Files that are changed only while a lock is held.
///
/// A process that outlived its lock (it hung, and another took its place) may wake up anywhere: whatever it was about to
/// write, rename or remove is another's by then. Every call that changes something looks at the lock first and throws
/// an error with `isLostLock` once it is gone; what is only read is read all the same. Between the look and the change
/// there is one system call.
public struct LockedStorage: Storage {
  private let storage: any Storage
  private let lock: any StorageLock

  public init(_ storage: any Storage, while lock: any StorageLock) {
    self.storage = storage
    self.lock = lock
  }

  public func makeDirectory(_ path: String) throws {
    try lock.verify()
    try storage.makeDirectory(path)
  }

  public func open(_ path: String, _ mode: OpenMode) throws -> any StorageFile {
    guard mode != .reading else { return try storage.open(path, .reading) }
    try lock.verify()
    return LockedFile(try storage.open(path, mode), lock)
  }

  public func rename(_ path: String, to newPath: String) throws {
    try lock.verify()
    try storage.rename(path, to: newPath)
  }

  public func remove(_ path: String) throws {
    try lock.verify()
    try storage.remove(path)
  }

  public func exists(_ path: String) throws -> Bool { try storage.exists(path) }

  public func map(_ path: String, size: Int) throws -> FileMapping? { try storage.map(path, size: size) }

  public func glance(at path: String) -> [UInt8]? { storage.glance(at: path) }

  public func list(_ directory: String) throws -> [String] { try storage.list(directory) }

  public func synchronizeDirectory(_ path: String) throws {
    try lock.verify()
    try storage.synchronizeDirectory(path)
  }

  public func lock(_ path: String) throws -> any StorageLock { try storage.lock(path) }

  public func freeSpace(at path: String) throws -> Int { try storage.freeSpace(at: path) }
}

private final class LockedFile: StorageFile {
  private let file: any StorageFile
  private let lock: any StorageLock

  init(_ file: any StorageFile, _ lock: any StorageLock) {
    self.file = file
    self.lock = lock
  }

  var path: String { file.path }

  func read(at offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws { try file.read(at: offset, into: bytes) }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    try lock.verify()
    try file.write(bytes, at: offset)
  }

  func allocate(_ size: Int) throws {
    try lock.verify()
    try file.allocate(size)
  }

  func size() throws -> Int { try file.size() }

  /// After the lock was lost nothing may be called durable: another may have replaced it.
  func synchronize() throws {
    try lock.verify()
    try file.synchronize()
    try lock.verify()
  }
}
