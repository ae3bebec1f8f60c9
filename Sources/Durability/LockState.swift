import Glibc

/// What a lock's file says of it, to somebody who does not want the lock.
public struct LockState: Equatable, Sendable {
  /// Who has the lock, or had it last; nil if it did not say.
  public let holder: LockHolder?
  public let isHeld: Bool

  public init(holder: LockHolder?, isHeld: Bool) {
    self.holder = holder
    self.isHeld = isHeld
  }
}

extension FileStorage {
  /// Looks whether anybody holds the lock of a file; nil if there is no such file, for then nobody ever did.
  ///
  /// It shares the lock for the moment of looking, so whoever takes it in that moment has to try again.
  /// - Throws: `DurabilityError.failed`.
  public func lockState(of path: String) throws -> LockState? {
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw DurabilityError.failed(operation: .open, path: path, number: errno)
    }
    defer { close(descriptor) }
    let isFree = flock(descriptor, LOCK_SH | LOCK_NB) == 0
    guard isFree || errno == EWOULDBLOCK else {
      throw DurabilityError.failed(operation: .lock, path: path, number: errno)
    }
    if isFree { flock(descriptor, LOCK_UN) }
    var bytes = [UInt8](repeating: 0, count: LockHolder.bytesAtMost)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    return LockState(holder: LockHolder(record: bytes.prefix(max(0, count))), isHeld: !isFree)
  }
}

// MARK: - As it is written into the file

extension LockHolder {
  static let bytesAtMost = 300

  /// "1234 nodea", in the file's first line; nil if it is none.
  init?(record: some Sequence<UInt8>) {
    let words = String(decoding: record.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self).split(separator: " ")
    guard words.count == 2, let process = Int(words[0]) else { return nil }
    self.init(process: process, host: String(words[1]))
  }

  var record: [UInt8] { Array("\(process) \(host)\n".utf8) }
}
