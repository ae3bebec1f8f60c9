import Glibc
import Printing

/// Standard output, where results go: what could not be written is an error, for somebody waits for it.
public enum StandardOutput {
  /// Writes lines for people, and ends the last one. What does not show is escaped.
  public static func write(_ text: String) throws(OutputError) { try write(text, to: STDOUT_FILENO) }

  /// Writes a JSON text for programs, and ends its line.
  public static func write(json: String) throws(OutputError) { try write(json: json, to: STDOUT_FILENO) }

  package static func write(_ text: String, to descriptor: CInt) throws(OutputError) {
    try put(text.printableLines, to: descriptor)
  }

  package static func write(json: String, to descriptor: CInt) throws(OutputError) {
    try put(json.printableJSON, to: descriptor)
  }

  /// At once, not when a buffer is full: who watches sees it, and who is to hear of a failure hears of it.
  private static func put(_ text: String, to descriptor: CInt) throws(OutputError) {
    let bytes = Array((text + "\n").utf8)
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written) }
      if count > 0 {
        written += count
        continue
      }
      switch errno {
      case EINTR: continue
      // Another program may have made the pipe that it shares with us one that nobody waits for.
      case EAGAIN:
        var end = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&end, 1, -1)
      case EPIPE: throw .closedPipe
      default: throw .failed(reason: lastSystemError())
      }
    }
  }
}

/// Why a result did not reach whoever asked for it.
public enum OutputError: Error, Equatable {
  /// The reader went away, as `head` does once it has enough: nothing to tell.
  case closedPipe
  case failed(reason: String)
}

extension OutputError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .closedPipe: "Nobody reads standard output any more."
    case .failed(let reason):
      "The result could not be written to standard output: \(reason). Make room there, or send it elsewhere, and ask again."
    }
  }
}
