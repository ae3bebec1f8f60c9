import Glibc

/// A log file that never grows past a size: full, it becomes `NAME.1`, the one before `NAME.2`, and the oldest goes.
struct RotatingFile: ~Copyable {
  private let path: String
  private let bytesAtMost: Int
  private let olderKept: Int
  private var file: AppendedFile
  private var size: Int

  init(path: String, bytesAtMost: Int, olderKept: Int) throws(TelemetryError) {
    self.path = path
    self.bytesAtMost = bytesAtMost
    self.olderKept = olderKept
    file = try AppendedFile(path: path)
    size = file.size
  }

  /// Adds a line; a line longer than the limit has a file of its own.
  mutating func append(line: String) throws(TelemetryError) {
    let bytes = Array((line + "\n").utf8)
    if size > 0, size + bytes.count > bytesAtMost {
      try rotate()
    }
    try file.append(bytes)
    size += bytes.count
  }

  private mutating func rotate() throws(TelemetryError) {
    for number in stride(from: olderKept - 1, through: 1, by: -1) {
      // Missing ones are no error: the log is young.
      _ = rename("\(path).\(number)", "\(path).\(number + 1)")
    }
    guard olderKept > 0 ? rename(path, "\(path).1") == 0 : unlink(path) == 0 else {
      throw .cannotWrite(file: path, reason: lastSystemError())
    }
    file = try AppendedFile(path: path)
    size = 0
  }
}
