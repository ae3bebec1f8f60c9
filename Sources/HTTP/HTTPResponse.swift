/// What a request is answered.
public struct HTTPResponse: Sendable, Equatable {
  public var status: Int
  /// Beside `Content-Length` and `Connection`, which the connection adds.
  public var headers: [(name: String, value: String)]
  /// Shared, not copied, however many clients get it at once.
  public var body: [UInt8]

  public init(_ status: Int, _ headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// A sentence for people.
  public init(_ status: Int, sentence: String, _ headers: [(name: String, value: String)] = []) {
    self.init(status, [("Content-Type", "text/plain; charset=utf-8")] + headers, body: Array((sentence + "\n").utf8))
  }

  public static func == (one: HTTPResponse, other: HTTPResponse) -> Bool {
    one.status == other.status && one.body == other.body && one.headers.elementsEqual(other.headers, by: ==)
  }

  /// Status line and headers, with the empty line at their end.
  func head(closing: Bool) -> [UInt8] {
    var text = "HTTP/1.1 \(status) \(Self.reasons[status] ?? "Status")\r\n"
    for (name, value) in headers { text += "\(name): \(value)\r\n" }
    text += "Content-Length: \(body.count)\r\nConnection: \(closing ? "close" : "keep-alive")\r\n\r\n"
    return Array(text.utf8)
  }

  private static let reasons = [
    200: "OK", 303: "See Other", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 413: "Content Too Large", 421: "Misdirected Request",
    429: "Too Many Requests", 431: "Request Header Fields Too Large", 501: "Not Implemented",
    503: "Service Unavailable", 505: "HTTP Version Not Supported",
  ]
}
