import Glibc

/// Follows the lines of `metrics.jsonl` while a run writes it, whatever starts and rollbacks put in its place.
///
///     while lines.advance(&history, { history, item in ... }) {}     // a piece at a time
///
/// A file that is another than before, or shorter, is read from its begin: each start of a coordinator puts one of its own
/// there. A line that is not whole waits for its end.
package struct RecordLines: Sendable {
  package enum Item {
    /// All that came before no longer holds: what comes now is another file's.
    case file(descriptor: CInt, size: Int)
    /// Nor does it here: there is no file any more.
    case gone
    /// Without its newline; never empty.
    case line(UnsafeBufferPointer<UInt8>)
  }

  /// Read at once.
  static let pieceBytes = 4 << 20

  private let path: String
  private var file: OpenFile?
  private var offset = 0
  /// Of `offset`: where the file ended at the last look.
  package private(set) var size = 0
  private var piece = [UInt8](repeating: 0, count: pieceBytes)
  /// Bytes at the piece's begin that were left from the one before: a line without its end.
  private var left = 0

  /// Closed with its last use.
  private final class OpenFile: Sendable {
    let descriptor: CInt
    let identity: (device: UInt, inode: UInt)

    init(descriptor: CInt, identity: (UInt, UInt)) { (self.descriptor, self.identity) = (descriptor, identity) }
    deinit { close(descriptor) }
  }

  package init(path: String) { self.path = path }

  /// Bytes of the file that were read.
  package var bytesRead: Int { offset }
}

// MARK: - Reading

extension RecordLines {
  /// Reads the next piece of the file.
  /// - Parameters:
  ///   - context: what `take` changes.
  ///   - take: is given what came, in order.
  /// - Returns: whether there is more to read at once.
  package mutating func advance<Context>(_ context: inout Context, _ take: (inout Context, Item) -> Void) -> Bool {
    guard look(&context, take) else { return false }
    let count = file.map { readPiece(of: $0.descriptor, behind: left) } ?? 0
    guard count > 0 else { return false }
    offset += count
    giveLines(in: left + count, &context, take)
    return offset < size
  }

  /// Forgets what was read: the next piece is the file's first.
  mutating func startOver() { begin(nil) }

  /// - Returns: whether there is a file, the one that is read or a new one.
  private mutating func look<Context>(_ context: inout Context, _ take: (inout Context, Item) -> Void) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      if file != nil {
        begin(nil)
        take(&context, .gone)
      }
      return false
    }
    size = Int(status.st_size)
    if let identity = file?.identity, identity == (status.st_dev, status.st_ino), size >= offset { return true }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    guard fstat(descriptor, &status) == 0 else {
      close(descriptor)
      return false
    }
    begin(OpenFile(descriptor: descriptor, identity: (status.st_dev, status.st_ino)))
    size = Int(status.st_size)
    take(&context, .file(descriptor: descriptor, size: size))
    return true
  }

  private mutating func begin(_ file: OpenFile?) {
    self.file = file
    (offset, left, size) = (0, 0, 0)
  }

  private mutating func readPiece(of descriptor: CInt, behind start: Int) -> Int {
    let offset = offset
    return piece.withUnsafeMutableBytes { bytes in
      while true {
        let count = pread(descriptor, bytes.baseAddress! + start, bytes.count - start, off_t(offset))
        if count >= 0 || errno != EINTR { return max(0, count) }
      }
    }
  }

  /// Gives the lines in the piece's first bytes, and keeps what has no end yet.
  private mutating func giveLines<Context>(
    in count: Int, _ context: inout Context, _ take: (inout Context, Item) -> Void
  ) {
    var start = 0
    piece.withUnsafeBufferPointer { bytes in
      while let end = Self.newline(in: bytes, from: start, to: count) {
        if end > start { take(&context, .line(UnsafeBufferPointer(rebasing: bytes[start..<end]))) }
        start = end + 1
      }
    }
    // No record is that long: what has no end by now is thrown away as it comes.
    if start == 0, count == piece.count { start = count }
    left = count - start
    piece.replaceSubrange(0..<left, with: Array(piece[start..<count]))
  }

  static func newline(in bytes: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int) -> Int? {
    guard start < end, let found = memchr(bytes.baseAddress! + start, 10, end - start) else { return nil }
    return UnsafeRawPointer(found) - UnsafeRawPointer(bytes.baseAddress!)
  }
}
