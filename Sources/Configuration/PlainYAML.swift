import Foundation
import Yams

/// Small YAML files that people write: short, and without names for parts of themselves.
package enum PlainYAML {
  /// Ten times what all keys of a recipe take with a sentence on each.
  package static let bytesAtMost = 128 << 10

  package enum Problem: Error, Equatable {
    case unreadable(reason: String)
    /// Not YAML, or not of the plain kind.
    case malformed(line: Int?, reason: String)
    case repeatedKey(String)
  }

  /// - Parameter kind: what it should be, for the sentence on a file that is too large.
  package static func text(ofFile path: String, kind: String) throws(Problem) -> String {
    let bytes: Data
    do {
      // One byte more than may be, for it may be a pipe, or a device without an end.
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      defer { try? file.close() }
      bytes = try file.read(upToCount: bytesAtMost + 1) ?? Data()
    } catch CocoaError.fileReadNoSuchFile {
      throw .unreadable(reason: "there is no such file")
    } catch CocoaError.fileReadNoPermission {
      throw .unreadable(reason: "permission denied")
    } catch {
      throw .unreadable(reason: error.localizedDescription)
    }
    guard bytes.count <= bytesAtMost else {
      throw .unreadable(reason: "it is larger than \(bytesAtMost >> 10) KiB, so no \(kind)")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .unreadable(reason: "it is not UTF-8 text") }
    return text
  }

  /// Nil for a text with nothing in it.
  package static func compose(_ text: String) throws(Problem) -> Node? {
    try check(text)
    do {
      return try Yams.compose(yaml: text)
    } catch YamlError.duplicatedKeysInMapping(let keys, _) {
      throw .repeatedKey(keys.sorted().first ?? "")
    } catch YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
      YamlError.composer(_, let problem, let mark, _)
    {
      throw .malformed(line: mark.line, reason: problem)
    } catch YamlError.reader(let problem, _, _, _) {
      throw .malformed(line: nil, reason: problem)
    } catch {
      throw .malformed(line: nil, reason: "\(error)")
    }
  }

  /// A part that is made of parts that are made of parts, each named and used ten times, takes the parser longer than
  /// anybody lives.
  private static func check(_ text: String) throws(Problem) {
    guard text.utf8.count <= bytesAtMost else {
      throw .malformed(line: nil, reason: "it is larger than \(bytesAtMost >> 10) KiB")
    }
    // What may be part of a name; a "&" behind one is within a word.
    func isWord(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"): true
      default: false
      }
    }
    var line = 1
    var (before, beforeThat) = (UInt8(0), UInt8(0))
    for byte in text.utf8 {
      if before == UInt8(ascii: "&"), !isWord(beforeThat), isWord(byte) {
        throw .malformed(line: line, reason: "it names a part of itself with '&', which no key needs")
      }
      if byte == UInt8(ascii: "\n") { line += 1 }
      (beforeThat, before) = (before, byte)
    }
  }
}
