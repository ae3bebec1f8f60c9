/// A connection's bytes become requests, strictly by RFC 9112, within `HTTPLimits`.
///
///     reader.append(bytes)
///     while let request = try reader.next() { ... }
///
/// What two readers could take for different requests is refused: several lengths, a line folded into the next, a space
/// before a colon, a line that ends without a carriage return.
public struct RequestReader: Sendable {
  private var buffer: [UInt8] = []
  /// Bytes that hold no end of a head, as was seen before: none is looked at again.
  private var searched = 0

  public init() {}

  /// Whether a request has begun.
  public var hasBegun: Bool { !buffer.isEmpty }

  public mutating func append(_ bytes: some Collection<UInt8>) { buffer += bytes }

  /// The next whole request; nil if more bytes are needed.
  /// - Throws: `HTTPError`, after which nothing that follows can be read.
  public mutating func next() throws(HTTPError) -> HTTPRequest? {
    // An empty line before a request is let pass, as the RFC asks.
    while buffer.starts(with: [13, 10]) { buffer.removeFirst(2) }
    guard let end = endOfHead() else {
      if buffer.count >= HTTPLimits.head { throw .headTooLarge }
      return nil
    }
    guard end <= HTTPLimits.head else { throw .headTooLarge }
    var request = try Self.head(buffer[..<end])
    let length = try Self.bodyLength(request)
    guard buffer.count >= end + length else { return nil }
    request.body = Array(buffer[end..<end + length])
    buffer.removeFirst(end + length)
    searched = 0
    return request
  }

  /// Behind the first empty line; nil if there is none yet.
  private mutating func endOfHead() -> Int? {
    var place = max(0, searched - 3)
    while place + 4 <= buffer.count {
      if buffer[place] == 13, buffer[place + 1] == 10, buffer[place + 2] == 13, buffer[place + 3] == 10 {
        return place + 4
      }
      place += 1
    }
    searched = buffer.count
    return nil
  }
}

// MARK: - The head

extension RequestReader {
  /// - Parameter bytes: with the empty line at their end.
  private static func head(_ bytes: ArraySlice<UInt8>) throws(HTTPError) -> HTTPRequest {
    let text = bytes.dropLast(4)
    // A newline alone ends a line for some readers.
    for (place, byte) in zip(text.indices, text) where byte == 10 || byte == 0 {
      guard byte == 10, place > text.startIndex, text[place - 1] == 13 else {
        throw .malformed("a line ends without a carriage return, or holds a zero byte")
      }
    }
    // What is left holds a carriage return before each newline: parted there, each but the last line has one at its end.
    var lines = text.split(separator: 10, omittingEmptySubsequences: false)
    for index in lines.indices.dropLast() { lines[index].removeLast() }
    guard lines.allSatisfy({ !$0.contains(13) }) else { throw .malformed("a line holds a carriage return") }
    guard lines.count - 1 <= HTTPLimits.headers else { throw .headTooLarge }
    var request = try requestLine(lines[0])
    for line in lines.dropFirst() {
      let (name, value) = try header(line)
      request.headers[name, default: []].append(value)
    }
    guard request.headers["host"]?.count ?? 0 <= 1 else { throw .malformed("it has several Host headers") }
    // So far only HTTP/1.0 is not kept alive.
    if request.keepsAlive, request.headers["host"] == nil { throw .malformed("its Host header is missing") }
    let wishes = (request.headers["connection"] ?? []).flatMap { $0.lowercased().split(separator: ",") }
    if wishes.contains(where: { $0.trimmed == "close" }) { request.keepsAlive = false }
    return request
  }

  /// "GET /path?query HTTP/1.1". Of HTTP/1.0 none is kept alive.
  private static func requestLine(_ line: ArraySlice<UInt8>) throws(HTTPError) -> HTTPRequest {
    let words = line.split(separator: 32, omittingEmptySubsequences: false)
    guard words.count == 3, words.allSatisfy({ !$0.isEmpty && $0.allSatisfy { 0x21..<0x7f ~= $0 } }) else {
      throw .malformed("its first line is not a method, a path and a version")
    }
    let version = String(decoding: words[2], as: UTF8.self)
    guard version.hasPrefix("HTTP/") else { throw .malformed("its first line names no version") }
    guard version == "HTTP/1.1" || version == "HTTP/1.0" else { throw .unsupportedVersion }
    guard words[0].allSatisfy(isToken) else { throw .malformed("its method is no word") }
    guard words[1].first == UInt8(ascii: "/") else { throw .malformed("its target is no path") }
    let halves = words[1].split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
    return HTTPRequest(
      method: String(decoding: words[0], as: UTF8.self), path: String(decoding: halves[0], as: UTF8.self),
      query: halves.count > 1 ? HTTPRequest.fields(ofForm: String(decoding: halves[1], as: UTF8.self)) : [:],
      keepsAlive: version == "HTTP/1.1")
  }

  private static func header(_ line: ArraySlice<UInt8>) throws(HTTPError) -> (name: String, value: String) {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
      line[..<colon].allSatisfy(isToken)
    else { throw .malformed("a header has no name") }
    let value = line[(colon + 1)...]
    guard value.allSatisfy({ $0 >= 32 && $0 != 127 || $0 == 9 }) else {
      throw .malformed("a header holds a control character")
    }
    let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
    return (name, String(decoding: value, as: UTF8.self).trimmed)
  }

  private static func bodyLength(_ request: HTTPRequest) throws(HTTPError) -> Int {
    if request.headers["transfer-encoding"] != nil { throw .unsupportedCoding }
    guard let values = request.headers["content-length"] else { return 0 }
    guard values.count == 1, !values[0].isEmpty, values[0].utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
      throw .malformed("its Content-Length is no number")
    }
    guard values[0].utf8.count <= 9, let length = Int(values[0]), length <= HTTPLimits.body else { throw .bodyTooLarge }
    return length
  }

  private static func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: Array("!#$%&'*+-.^_`|~".utf8).contains(byte)
    }
  }
}

extension StringProtocol {
  /// Without spaces and tabs around it.
  fileprivate var trimmed: String {
    let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
    var rest = self[...]
    while let first = rest.first, isBlank(first) { rest.removeFirst() }
    while let last = rest.last, isBlank(last) { rest.removeLast() }
    return String(rest)
  }
}
