import Glibc

/// What changes when a file or folder does: its size, and two times.
///
/// A folder's times change with the names in it, not with the files behind them. The second time cannot be set by
/// anybody, so that a copy with its old times is another file.
struct FileStamp: Equatable, Sendable {
  let size: Int
  /// Nanoseconds since 1970 of the last change of what is in it.
  let modified: Int
  /// And of whatever is known of it.
  let changed: Int

  init(size: Int, modified: Int, changed: Int) {
    (self.size, self.modified, self.changed) = (size, modified, changed)
  }

  init(_ status: stat) {
    size = Int(status.st_size)
    modified = Self.nanoseconds(status.st_mtim)
    changed = Self.nanoseconds(status.st_ctim)
  }

  /// Nil if nothing is there, or it cannot be looked at.
  init?(at path: [UInt8]) {
    var status = stat()
    guard stat(path.map(CChar.init(bitPattern:)) + [0], &status) == 0 else { return nil }
    self.init(status)
  }

  static var now: Int {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return nanoseconds(time)
  }

  private static func nanoseconds(_ time: timespec) -> Int { time.tv_sec &* 1_000_000_000 &+ time.tv_nsec }
}
