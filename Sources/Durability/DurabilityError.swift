import Glibc

/// Who has a lock, as it says in the locked file: for people, who may have to find it.
public struct LockHolder: Equatable, Sendable {
  public let process: Int
  public let host: String

  public init(process: Int, host: String) {
    self.process = process
    self.host = host
  }

  /// This process.
  public static var current: LockHolder {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return LockHolder(process: Int(getpid()), host: String(decoding: bytes, as: UTF8.self))
  }
}

/// Why a file or directory could not be used: which, what was tried, and what to do.
public enum DurabilityError: Error, Equatable, CustomStringConvertible {
  /// The operating system refused; `number` is its errno.
  case failed(operation: Operation, path: String, number: Int32)
  /// Another process has the lock; nil if it did not say which.
  case locked(path: String, holder: LockHolder?)
  /// The locked file was removed or replaced while it was held, or the lock was released.
  case lockLost(path: String)
  /// This record says that another process owns the directory since: the lock did not keep it out.
  case overtaken(record: String)
  /// Bytes were wanted that are past the end of the file.
  case tooShort(path: String, expected: Int, size: Int)
  case tooLong(path: String, size: Int, limit: Int)

  /// What was tried, as it is said in a sentence: "cannot ... PATH".
  public enum Operation: String, Sendable {
    case makeDirectory = "make the directory"
    case open
    case rename
    case remove
    case list
    case inspect
    case read
    case map
    case write
    case allocate = "reserve space for"
    case synchronize
    case lock
  }

  public var description: String {
    switch self {
    case .failed(let operation, let path, let number):
      "cannot \(operation.rawValue) \(path): \(Self.sentence(for: number, of: operation))"
    case .locked(let path, let holder?):
      "\(path) is locked by process \(holder.process) on \(holder.host). Stop that process first, or wait until it ends."
    case .locked(let path, nil):
      "\(path) is locked by another process. Stop that process first, or wait until it ends."
    case .lockLost(let path):
      "\(path) was removed or replaced while it was locked: another process may believe that it owns this directory. "
        + "Leave that file alone while a coordinator runs."
    case .overtaken(let record):
      "\(record) says that another coordinator was started on this directory after this one: the run is that one's now. "
        + "Two at once means that locks do not lock here; on an NFS mount they must reach the server, so mount it without "
        + "nolock and local_lock."
    case .tooShort(let path, let expected, let size):
      "\(path) ends after \(size) bytes, but is read up to byte \(expected). It is cut short: restore or delete it."
    case .tooLong(let path, let size, let limit):
      "\(path) has \(size) bytes; at most \(limit) are taken. It is not what it should be: restore or delete it."
    }
  }

  /// Whether there was no room: what is written may succeed later, and nothing else is wrong.
  public var isOutOfSpace: Bool {
    guard case .failed(_, _, let number) = self else { return false }
    return number == ENOSPC || number == EDQUOT
  }

  /// Whether the process, or the machine, had no descriptor left: nothing is wrong with the disk or the file.
  public var isOutOfDescriptors: Bool {
    guard case .failed(_, _, let number) = self else { return false }
    return number == EMFILE || number == ENFILE
  }

  /// Whether another process may have what this one had locked.
  public var isLostLock: Bool {
    switch self {
    case .lockLost, .overtaken: true
    default: false
    }
  }

  /// Whether the service that grants locks does not answer: it may do so later.
  public var isLockServiceAway: Bool {
    guard case .failed(.lock, _, ENOLCK) = self else { return false }
    return true
  }

  /// Whether the file or directory is not there.
  public var isAbsence: Bool {
    guard case .failed(_, _, let number) = self else { return false }
    return number == ENOENT
  }

  /// Whether the path is one that no other start will find, or may use.
  public var isWrongPath: Bool {
    guard case .failed(let operation, _, let number) = self else { return false }
    if operation == .lock, Self.knowsNoLocks(number) { return true }
    return [ENOENT, ENOTDIR, EISDIR, EACCES, EPERM, EROFS, ENAMETOOLONG].contains(number)
  }

  /// What flock says on file systems without locks. Linux has a number of its own for it, which NFS lets out (ENOTSUPP).
  private static func knowsNoLocks(_ number: Int32) -> Bool { [524, EOPNOTSUPP, ENOSYS].contains(number) }

  private static func sentence(for number: Int32, of operation: Operation) -> String {
    switch number {
    case ENOLCK:
      "no locks are to be had on this mount now. NFS gets them from its server: start rpc.statd and lockd on both sides, "
        + "or mount it with local_lock=flock if only this machine uses the directory, or choose one on a local disk."
    case _ where operation == .lock && knowsNoLocks(number):
      "this mount knows no locks. Mount it with an option that gives them (NFS: local_lock=flock if only this machine "
        + "uses the directory; Lustre: flock), or choose a directory on a local disk."
    case ENOSPC: "the disk is full. Make room on it."
    case EDQUOT: "the quota on this disk is used up. Make room, or have it raised."
    case EROFS: "the file system is read-only. Choose another directory, or mount it for writing."
    case EACCES, EPERM: "permission denied. Change the owner or mode, or choose another path."
    case ENOENT: "there is no such file or directory."
    case EEXIST: "it exists already."
    case ENOTDIR: "a part of the path is a file, not a directory."
    case EISDIR: "it is a directory, not a file."
    case ENOTEMPTY: "the directory is not empty."
    case EIO: "the disk reports an error. Check the disk; what is on it may be damaged."
    case ENAMETOOLONG: "the name is too long."
    case ENOMEM: "out of memory, or of room in the address space (sysctl vm.max_map_count, ulimit -v)."
    case EMFILE, ENFILE: "too many files are open. Raise the limit (ulimit -n)."
    case EXDEV: "the two names are on different file systems."
    default: "\(String(cString: strerror(number))) (error \(number))."
    }
  }
}
