import Glibc

/// A file that is only ever added to at its end, closed with its last use.
struct AppendedFile: ~Copyable {
  let path: String
  private let descriptor: CInt

  init(path: String) throws(TelemetryError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    if descriptor < 0 { throw .cannotOpen(file: path, reason: lastSystemError()) }
  }

  deinit { close(descriptor) }

  /// Bytes in the file.
  var size: Int {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
  }

  /// Adds all bytes, in one call of the system unless it takes fewer.
  func append(_ bytes: some Collection<UInt8>) throws(TelemetryError) {
    guard writeAll(Array(bytes), to: descriptor) else { throw .cannotWrite(file: path, reason: lastSystemError()) }
  }

  func synchronize() throws(TelemetryError) {
    guard fsync(descriptor) == 0 else { throw .cannotWrite(file: path, reason: lastSystemError()) }
  }
}

/// Writes all bytes, going on after an interruption; false, with `errno` set, where the system takes no more.
func writeAll(_ bytes: [UInt8], to descriptor: CInt) -> Bool {
  bytes.withUnsafeBytes { bytes in
    var written = 0
    while written < bytes.count {
      let count = write(descriptor, bytes.baseAddress! + written, bytes.count - written)
      if count < 0, errno == EINTR { continue }
      if count <= 0 { return false }
      written += count
    }
    return true
  }
}

/// What the last failed call of the system says about itself.
func lastSystemError() -> String { String(cString: strerror(errno)) }
