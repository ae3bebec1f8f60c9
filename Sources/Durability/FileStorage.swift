import Glibc
import Synchronization

/// The operating system's files.
public struct FileStorage: Storage {
  public init() {}

  public func makeDirectory(_ path: String) throws {
    if mkdir(path, 0o777) == 0 { return }
    let number = errno
    var information = stat()
    if number == EEXIST, stat(path, &information) == 0 {
      guard information.st_mode & S_IFMT == S_IFDIR else {
        throw DurabilityError.failed(operation: .makeDirectory, path: path, number: ENOTDIR)
      }
      return
    }
    guard number == ENOENT, parent(of: path) != path else {
      throw DurabilityError.failed(operation: .makeDirectory, path: path, number: number)
    }
    try makeDirectory(parent(of: path))
    guard mkdir(path, 0o777) == 0 || errno == EEXIST else {
      throw DurabilityError.failed(operation: .makeDirectory, path: path, number: errno)
    }
  }

  public func open(_ path: String, _ mode: OpenMode) throws -> any StorageFile {
    let flags =
      switch mode {
      case .reading: O_RDONLY
      case .updating: O_RDWR
      case .replacing: O_RDWR | O_CREAT | O_TRUNC
      }
    return OpenFile(try descriptor(of: path, flags), path: path)
  }

  public func map(_ path: String, size: Int) throws -> FileMapping? {
    let file = OpenFile(try descriptor(of: path, O_RDONLY), path: path)
    guard try file.size() >= size else {
      throw DurabilityError.tooShort(path: path, expected: size, size: try file.size())
    }
    guard let mapping = FileMapping(of: file.descriptor, path: path, size: size) else {
      throw DurabilityError.failed(operation: .map, path: path, number: errno)
    }
    return mapping
  }

  public func rename(_ path: String, to newPath: String) throws {
    guard Glibc.rename(path, newPath) == 0 else {
      throw DurabilityError.failed(operation: .rename, path: path, number: errno)
    }
  }

  public func remove(_ path: String) throws {
    if unlink(path) == 0 || errno == ENOENT { return }
    guard errno == EISDIR || errno == EPERM else {
      throw DurabilityError.failed(operation: .remove, path: path, number: errno)
    }
    for name in try list(path) { try remove("\(path)/\(name)") }
    guard rmdir(path) == 0 || errno == ENOENT else {
      throw DurabilityError.failed(operation: .remove, path: path, number: errno)
    }
  }

  public func exists(_ path: String) throws -> Bool {
    var information = stat()
    if stat(path, &information) == 0 { return true }
    guard errno == ENOENT || errno == ENOTDIR else {
      throw DurabilityError.failed(operation: .inspect, path: path, number: errno)
    }
    return false
  }

  public func list(_ directory: String) throws -> [String] {
    let stream = try Self.patiently(of: directory, .list) { opendir(directory) }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        guard errno == 0 else { throw DurabilityError.failed(operation: .list, path: directory, number: errno) }
        break
      }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  public func synchronizeDirectory(_ path: String) throws {
    let file = OpenFile(try descriptor(of: path, O_RDONLY | O_DIRECTORY), path: path)
    try file.synchronize()
  }

  public func lock(_ path: String) throws -> any StorageLock {
    let file = OpenFile(try descriptor(of: path, O_RDWR | O_CREAT), path: path)
    guard flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 else {
      guard errno == EWOULDBLOCK else {
        throw DurabilityError.failed(operation: .lock, path: path, number: errno)
      }
      throw DurabilityError.locked(path: path, holder: try? lockState(of: path)?.holder)
    }
    // What is written is for people only; the lock itself is the kernel's, and is gone with the process.
    guard ftruncate(file.descriptor, 0) == 0 else {
      throw DurabilityError.failed(operation: .lock, path: path, number: errno)
    }
    try LockHolder.current.record.withUnsafeBytes { try file.write($0, at: 0) }
    return FileLock(file)
  }

  public func freeSpace(at path: String) throws -> Int {
    var information = statvfs()
    guard statvfs(path, &information) == 0 else {
      throw DurabilityError.failed(operation: .inspect, path: path, number: errno)
    }
    return Int(clamping: UInt64(information.f_bavail).multipliedReportingOverflow(by: UInt64(information.f_frsize)).0)
  }

  private func descriptor(of path: String, _ flags: Int32) throws -> Int32 {
    try Self.patiently(of: path, .open) {
      let descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o666)
      return descriptor >= 0 ? descriptor : nil
    }
  }

  /// Tries to open a file, and a pause between tries in microseconds. Who fills a process's or machine's descriptors is
  /// turned away soon, and a run does not end for it.
  private static let tries = 250
  private static let pause: UInt32 = 20_000

  /// - Parameter open: nil where it fails, with the reason in `errno`.
  private static func patiently<Opened>(
    of path: String, _ operation: DurabilityError.Operation, _ open: () -> Opened?
  ) throws -> Opened {
    var tries = 0
    while true {
      if let opened = open() { return opened }
      let number = errno
      if number == EMFILE || number == ENFILE, tries < Self.tries {
        tries += 1
        usleep(pause)
      } else if number != EINTR {
        throw DurabilityError.failed(operation: operation, path: path, number: number)
      }
    }
  }
}

// MARK: - Open files

/// A file descriptor and its path. Both are fixed; the kernel serialises what threads do with a descriptor.
private final class OpenFile: StorageFile {
  let path: String
  let descriptor: Int32

  init(_ descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit { close(descriptor) }

  func read(at offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    var done = 0
    while done < bytes.count {
      let count = pread(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
      if count == 0 {
        throw DurabilityError.tooShort(path: path, expected: offset + bytes.count, size: try size())
      }
      if count > 0 {
        done += count
      } else if errno != EINTR {
        throw DurabilityError.failed(operation: .read, path: path, number: errno)
      }
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
      if count >= 0 {
        done += count
      } else if errno != EINTR {
        throw DurabilityError.failed(operation: .write, path: path, number: errno)
      }
    }
  }

  func allocate(_ size: Int) throws {
    guard size > 0 else { return }
    while true {
      let number = posix_fallocate(descriptor, 0, off_t(size))
      if number == 0 { return }
      guard number == EINTR else { throw DurabilityError.failed(operation: .allocate, path: path, number: number) }
    }
  }

  func size() throws -> Int {
    var information = stat()
    guard fstat(descriptor, &information) == 0 else {
      throw DurabilityError.failed(operation: .inspect, path: path, number: errno)
    }
    return Int(information.st_size)
  }

  func synchronize() throws {
    while fsync(descriptor) != 0 {
      guard errno == EINTR else { throw DurabilityError.failed(operation: .synchronize, path: path, number: errno) }
    }
  }
}

/// An advisory lock on an open file (flock): it ends with the descriptor.
private final class FileLock: StorageLock {
  private let file: OpenFile
  private let isReleased = Atomic<Bool>(false)

  init(_ file: OpenFile) { self.file = file }

  // Closing is not enough: a process that is being started holds every descriptor until its own program runs.
  deinit { release() }

  func verify() throws {
    var held = stat()
    var found = stat()
    guard !isReleased.load(ordering: .acquiring), fstat(file.descriptor, &held) == 0, stat(file.path, &found) == 0,
      held.st_ino == found.st_ino, held.st_dev == found.st_dev
    else { throw DurabilityError.lockLost(path: file.path) }
  }

  func release() {
    isReleased.store(true, ordering: .releasing)
    // Cannot fail on an open descriptor; without the lock it does nothing.
    flock(file.descriptor, LOCK_UN)
  }
}
