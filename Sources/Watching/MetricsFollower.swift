import Glibc

/// Follows `metrics.jsonl` into a `History` while a run writes it, whatever starts and rollbacks put in its place.
///
///     while follower.advance() { ... }       // a piece at a time, until there is no more for now
///
/// A file that is another than before, or shorter, is read from its begin: each start of a coordinator puts one of its own
/// there. A line that is not whole waits for its end. What is no record is counted and left out.
package struct MetricsFollower: Sendable {
  /// Read at once.
  private static let pieceBytes = 4 << 20
  /// Of a large file, lines that are looked at before it is read.
  private static let sampledLines = 600

  private let path: String
  private var file: OpenFile?
  private var offset = 0
  /// Of `offset`: where the file ended at the last look.
  package private(set) var size = 0
  private var piece = [UInt8](repeating: 0, count: pieceBytes)
  /// Bytes at the piece's begin that were left from the one before: a line without its end.
  private var left = 0
  private var parser = MetricsLine()

  /// The whole run, thinned, and its newest steps.
  package private(set) var whole = History()
  package private(set) var newest = History(newestOnly: true)
  /// Lines that are no records.
  package private(set) var unreadableLines = 0
  /// Grows when what was said before no longer holds: another file is in the old one's place.
  package private(set) var generation = 0
  /// A few lines of a large file, while it is read; nil once it was.
  package private(set) var sample: History?

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

  /// Reads the next piece of the file.
  /// - Returns: whether there is more to read at once.
  package mutating func advance() -> Bool {
    guard look() else { return false }
    let count = file.map { readPiece(of: $0.descriptor, behind: left) } ?? 0
    guard count > 0 else {
      sample = nil
      return false
    }
    offset += count
    take(left + count)
    if offset >= size { sample = nil }
    return offset < size
  }

  /// - Returns: whether there is a file, the one that is read or a new one.
  private mutating func look() -> Bool {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      if file != nil { begin(nil) }
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
    if size > 2 * Self.pieceBytes { takeSample() }
    return true
  }

  private mutating func begin(_ file: OpenFile?) {
    // A file of the first look replaces nothing.
    if offset > 0 { generation += 1 }
    self.file = file
    (offset, left, size, unreadableLines) = (0, 0, 0, 0)
    (whole, newest, sample) = (History(), History(newestOnly: true), nil)
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

  /// Takes the lines in the piece's first bytes, and keeps what has no end yet.
  private mutating func take(_ count: Int) {
    // Out of `self`, which the lines change.
    var piece: [UInt8] = []
    swap(&piece, &self.piece)
    defer { swap(&piece, &self.piece) }
    var start = 0
    piece.withUnsafeBufferPointer { bytes in
      while let end = Self.newline(in: bytes, from: start, to: count) {
        let line = UnsafeBufferPointer(rebasing: bytes[start..<end])
        start = end + 1
        if parser.read(line) {
          whole.add(step: parser.step, parser.values)
          newest.add(step: parser.step, parser.values)
        } else if !line.isEmpty {
          unreadableLines += 1
        }
      }
    }
    // No record is that long: what has no end by now is thrown away as it comes.
    if start == 0, count == piece.count { start = count }
    left = count - start
    piece.replaceSubrange(0..<left, with: Array(piece[start..<count]))
  }

  private static func newline(in bytes: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int) -> Int? {
    guard start < end, let found = memchr(bytes.baseAddress! + start, 10, end - start) else { return nil }
    return UnsafeRawPointer(found) - UnsafeRawPointer(bytes.baseAddress!)
  }

  /// Lines from all over the file: what a person sees until it was read.
  private mutating func takeSample() {
    guard let descriptor = file?.descriptor else { return }
    var sample = History()
    var bytes = [UInt8](repeating: 0, count: 2 * 4096)
    for index in 0..<Self.sampledLines {
      let place = size / Self.sampledLines * index
      let count = pread(descriptor, &bytes, bytes.count, off_t(place))
      bytes.withUnsafeBufferPointer { bytes in
        // The first line may have its begin elsewhere.
        guard let before = place == 0 ? -1 : Self.newline(in: bytes, from: 0, to: count),
          let end = Self.newline(in: bytes, from: before + 1, to: count)
        else { return }
        if parser.read(UnsafeBufferPointer(rebasing: bytes[(before + 1)..<end])) {
          sample.add(step: parser.step, parser.values)
        }
      }
    }
    self.sample = sample
  }
}
