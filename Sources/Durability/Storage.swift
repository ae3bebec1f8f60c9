/// Files and directories, as far as a run needs them, and with the promises that a run leans on.
///
/// What a call has done can be lost in a power cut until it is synchronized: a file's bytes and size by
/// `StorageFile.synchronize`, names in a directory (made, renamed, removed) by `synchronizeDirectory` of the directory
/// that holds them. `FileStorage` is the real one; the tests have one in memory that loses what may be lost.
///
/// All calls are synchronous and may be made from any thread. Paths are as the operating system takes them, parts
/// joined by "/". Every call throws `DurabilityError`, naming the path.
public protocol Storage: Sendable {
  /// Makes a directory, and those above it that are not there; one that exists is left as it is.
  func makeDirectory(_ path: String) throws
  func open(_ path: String, _ mode: OpenMode) throws -> any StorageFile
  /// Gives a file or directory another name, atomically. A file that had the new name is replaced.
  func rename(_ path: String, to newPath: String) throws
  /// Removes a file, or a directory with all that is in it; what is not there is as good as removed.
  func remove(_ path: String) throws
  func exists(_ path: String) throws -> Bool
  /// A file's first `size` bytes, to be copied from at random; nil where files cannot be mapped.
  func map(_ path: String, size: Int) throws -> FileMapping?
  /// A small file's bytes as they are now on the disk, another host's changes included; nil where they cannot be read. For
  /// looks that are taken often: a test's storage does not count it among its calls.
  func glance(at path: String) -> [UInt8]?
  /// Names in a directory, in the order of their bytes.
  func list(_ directory: String) throws -> [String]
  func synchronizeDirectory(_ path: String) throws
  /// Takes the only lock on a file, made if need be, and writes process number and host into it.
  /// - Throws: `DurabilityError.locked` if another process, or this one, has it.
  func lock(_ path: String) throws -> any StorageLock
  /// Bytes that can still be written to the file system that holds `path`.
  func freeSpace(at path: String) throws -> Int
}

public enum OpenMode: Sendable {
  /// An existing file, to be read only.
  case reading
  /// An existing file, to be read and written.
  case updating
  /// A file to be read and written, made if it is not there, else emptied.
  case replacing
}

/// An open file, closed when nobody holds it any more. Reads and writes at a place; there is no current position,
/// so several threads may use it at once where their ranges do not overlap.
public protocol StorageFile: AnyObject, Sendable {
  var path: String { get }
  /// Fills `bytes` from `offset` on.
  /// - Throws: `DurabilityError.tooShort` if the file ends before.
  func read(at offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws
  /// Writes all of `bytes` from `offset` on; the file grows as needed.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws
  /// Reserves space on the disk for `size` bytes and makes the file at least that long, so that later writes within
  /// cannot find the disk full.
  func allocate(_ size: Int) throws
  func size() throws -> Int
  /// Returns when bytes and size would survive a power cut.
  func synchronize() throws
}

/// A lock, held until it is released, nobody holds this any more, or the process ends however it does.
public protocol StorageLock: AnyObject, Sendable {
  /// Throws a `DurabilityError` with `isLostLock` if another process may have what is locked: the locked file is no longer
  /// the one at its path, or the lock was released.
  func verify() throws
  /// Gives the lock back; again does nothing.
  func release()
}

// MARK: - What follows from these

extension Storage {
  public func map(_ path: String, size: Int) throws -> FileMapping? { nil }

  // To open a file is what makes a network mount ask its server.
  public func glance(at path: String) -> [UInt8]? { try? readWhole(path, limit: 1 << 16) }

  /// Replaces a file whole: after a power cut the path holds the old bytes or the new ones, never a mixture.
  public func writeAtomically(_ bytes: some Collection<UInt8>, to path: String) throws {
    let temporary = path + ".tmp"
    let file = try open(temporary, .replacing)
    try Array(bytes).withUnsafeBytes { try file.write($0, at: 0) }
    try file.synchronize()
    try rename(temporary, to: path)
    try synchronizeDirectory(parent(of: path))
  }

  /// All bytes of a file.
  /// - Throws: `DurabilityError.tooLong` if there are more than `limit`.
  public func readWhole(_ path: String, limit: Int) throws -> [UInt8] {
    let file = try open(path, .reading)
    let size = try file.size()
    guard size <= limit else { throw DurabilityError.tooLong(path: path, size: size, limit: limit) }
    var bytes = [UInt8](repeating: 0, count: size)
    try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    return bytes
  }

  /// Makes a directory, and those above it that are not there, so that their names survive a power cut.
  public func makeDurableDirectory(_ path: String) throws {
    let above = parent(of: path)
    if try above != path && !exists(above) { try makeDurableDirectory(above) }
    try makeDirectory(path)
    try synchronizeDirectory(above)
  }
}

/// The directory that holds `path`: "a/b" for "a/b/c", "." for "c", "/" for "/c".
public func parent(of path: String) -> String {
  var parts = path.split(separator: "/", omittingEmptySubsequences: true)
  guard !parts.isEmpty else { return path.hasPrefix("/") ? "/" : "." }
  parts.removeLast()
  if path.hasPrefix("/") { return "/" + parts.joined(separator: "/") }
  return parts.isEmpty ? "." : parts.joined(separator: "/")
}
