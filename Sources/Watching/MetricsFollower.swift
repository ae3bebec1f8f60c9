import Glibc

/// Follows `metrics.jsonl`, or `evaluations.jsonl`, into a `History` while a run writes it.
///
///     while follower.advance() { ... }       // a piece at a time, until there is no more for now
///
/// What is no record is counted and left out. See `RecordLines`.
package struct MetricsFollower: Sendable {
  /// Of a large file, lines that are looked at before it is read.
  fileprivate static let sampledLines = 600

  private var lines: RecordLines
  private var found = Found()

  fileprivate struct Found: Sendable {
    var parser = MetricsLine()
    var whole = History()
    var newest = History(newestOnly: true)
    var unreadableLines = 0
    var generation = 0
    var sample: History?
    var isEmpty = true
  }

  package init(path: String) { lines = RecordLines(path: path) }

  /// The whole run, thinned, and its newest steps.
  package var whole: History { found.whole }
  package var newest: History { found.newest }
  /// Lines that are no records.
  package var unreadableLines: Int { found.unreadableLines }
  /// Grows when what was said before no longer holds: another file is in the old one's place.
  package var generation: Int { found.generation }
  /// A few lines of a large file, while it is read; nil once it was.
  package var sample: History? { found.sample }
  /// Bytes of the file that were read, and those that it had at the last look.
  package var bytesRead: Int { lines.bytesRead }
  package var size: Int { lines.size }

  /// Reads the next piece of the file.
  /// - Returns: whether there is more to read at once.
  package mutating func advance() -> Bool {
    let isMore = lines.advance(&found) { $0.take($1) }
    if !isMore { found.sample = nil }
    return isMore
  }
}

extension MetricsFollower.Found {
  mutating func take(_ item: RecordLines.Item) {
    switch item {
    case .gone: startOver()
    case .file(let descriptor, let size):
      startOver()
      if size > 2 * RecordLines.pieceBytes { takeSample(of: descriptor, size: size) }
    case .line(let line):
      isEmpty = false
      if parser.read(line) {
        whole.add(step: parser.step, parser.values)
        newest.add(step: parser.step, parser.values)
      } else {
        unreadableLines += 1
      }
    }
  }

  private mutating func startOver() {
    let old = self
    self = MetricsFollower.Found()
    // A file of which nothing was said replaces nothing.
    generation = old.isEmpty ? old.generation : old.generation + 1
  }

  /// Lines from all over the file: what a person sees until it was read.
  private mutating func takeSample(of descriptor: CInt, size: Int) {
    var sample = History()
    var bytes = [UInt8](repeating: 0, count: 2 * 4096)
    for index in 0..<MetricsFollower.sampledLines {
      let place = size / MetricsFollower.sampledLines * index
      let count = pread(descriptor, &bytes, bytes.count, off_t(place))
      bytes.withUnsafeBufferPointer { bytes in
        // The first line may have its begin elsewhere.
        guard let before = place == 0 ? -1 : RecordLines.newline(in: bytes, from: 0, to: count),
          let end = RecordLines.newline(in: bytes, from: before + 1, to: count)
        else { return }
        if parser.read(UnsafeBufferPointer(rebasing: bytes[(before + 1)..<end])) {
          sample.add(step: parser.step, parser.values)
        }
      }
    }
    self.sample = sample
  }
}
