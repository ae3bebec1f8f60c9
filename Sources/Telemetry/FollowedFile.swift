import Glibc

/// A log file that grows, read line by line by somebody else than its writer.
///
///     var log = FollowedFile("runs/first/train.log", lastLines: 10)
///     while ... { for line in log.newLines() { ... } }
///
/// It goes on in the new file when another took the place of the one that was read, as a log that rotates does.
public struct FollowedFile: ~Copyable {
  private let path: String
  private var descriptor: CInt = -1
  /// Of what was read, in the file that is open.
  private var position: off_t = 0
  /// Of a line whose end is not written yet.
  private var begun: [UInt8] = []

  /// Bytes looked at for the last lines, and bytes of a line that is given in one piece.
  private static let window = 64 << 10

  /// - Parameters:
  ///   - path: need not be there yet.
  ///   - lastLines: how many of the lines that are there to begin with; all that come after are read.
  public init(_ path: String, lastLines: Int) {
    self.path = path
    guard open(), let size = size(of: descriptor) else { return }
    position = max(0, size - off_t(Self.window))
    let lines = newLines(reopens: false)
    pending = Array(lines.suffix(lastLines))
  }

  /// - Parameters:
  ///   - path: need not be there yet.
  ///   - position: bytes of the file that are passed by.
  public init(_ path: String, from position: Int) {
    self.path = path
    if open() { self.position = off_t(position) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Lines that were there to begin with, and are not given yet.
  private var pending: [String] = []

  /// What was added since the last call, whole lines without their ends.
  public mutating func newLines() -> [String] {
    defer { pending = [] }
    return pending + newLines(reopens: true)
  }

  /// What is there of a line without an end; nil if nothing is.
  public mutating func rest() -> String? {
    defer { begun = [] }
    return begun.isEmpty ? nil : String(decoding: begun, as: UTF8.self)
  }

  private mutating func newLines(reopens: Bool) -> [String] {
    guard descriptor >= 0 || open() else { return [] }
    var lines = read()
    if reopens, isReplaced {
      close(descriptor)
      descriptor = -1
      lines += rest().map { [$0] } ?? []
      if open() { lines += read() }
    }
    return lines
  }

  private mutating func read() -> [String] {
    var lines: [String] = []
    var bytes = [UInt8](repeating: 0, count: Self.window)
    // Cut short by somebody: what is in it now is new.
    if let size = size(of: descriptor), size < position { position = 0 }
    while true {
      let count = pread(descriptor, &bytes, bytes.count, position)
      guard count > 0 else { return lines }
      position += off_t(count)
      for byte in bytes.prefix(count) {
        if byte != UInt8(ascii: "\n"), begun.count < Self.window {
          begun.append(byte)
        } else {
          lines.append(String(decoding: begun, as: UTF8.self))
          begun = byte == UInt8(ascii: "\n") ? [] : [byte]
        }
      }
    }
  }

  private mutating func open() -> Bool {
    descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    position = 0
    return descriptor >= 0
  }

  private var isReplaced: Bool {
    var (own, found) = (stat(), stat())
    guard fstat(descriptor, &own) == 0, stat(path, &found) == 0 else { return false }
    return own.st_ino != found.st_ino || own.st_dev != found.st_dev
  }
}

private func size(of descriptor: CInt) -> off_t? {
  var status = stat()
  return fstat(descriptor, &status) == 0 ? status.st_size : nil
}
