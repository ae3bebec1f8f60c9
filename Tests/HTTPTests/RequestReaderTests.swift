import HTTP
import TestSupport
import Testing

@Suite("Bytes of a client are requests, or are refused with a sentence")
struct RequestReaderTests {
  private func read(_ text: String) throws -> HTTPRequest? {
    var reader = RequestReader()
    reader.append(Array(text.utf8))
    return try reader.next()
  }

  @Test func aRequestHasItsParts() throws {
    let request = try #require(
      try read(
        "POST /login?window=whole&since=7&since=8 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 9\r\nX-Two: 1\r\nx-two:  2 \r\n\r\n"
          + "token=a+b"))
    #expect(request.method == "POST")
    #expect(request.path == "/login")
    #expect(request.query == ["window": "whole", "since": "7"])
    #expect(request.header("host") == "a:1")
    #expect(request.headers["x-two"] == ["1", "2"])
    #expect(request.header("x-two") == nil)
    #expect(request.keepsAlive)
    #expect(HTTPRequest.fields(ofForm: String(decoding: request.body, as: UTF8.self)) == ["token": "a b"])
  }

  @Test func anyPartOfARequestWaitsForTheRest() throws {
    let second = Array("GET / HTTP/1.1\r\nHost: b\r\n\r\n".utf8)
    let bytes = Array("GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab".utf8) + second
    let first = bytes.count - second.count
    var reader = RequestReader()
    for (index, byte) in bytes.enumerated() {
      reader.append([byte])
      let request = try reader.next()
      #expect((request != nil) == (index == first - 1 || index == bytes.count - 1), "at byte \(index)")
    }
    #expect(!reader.hasBegun)
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400), ("GET /\r\n\r\n", 400), ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("\u{16}\u{3}\u{1} hello\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{1}\r\n\r\n", 400), ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4097\r\n\r\n", 413),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
  ])
  func whatIsNoRequestIsRefused(text: String, status: Int) throws {
    do {
      let request = try read(text)
      Issue.record("read as \(String(describing: request))")
    } catch let error as HTTPError {
      #expect(error.status == status, "\(error)")
    }
  }

  @Test func aHeadWithoutAnEndIsRefusedAtItsLimit() throws {
    var reader = RequestReader()
    reader.append(Array("GET / HTTP/1.1\r\nX: ".utf8))
    reader.append([UInt8](repeating: 97, count: HTTPLimits.head - 20))
    #expect(try reader.next() == nil)
    reader.append([97])
    #expect(throws: HTTPError.headTooLarge) { try reader.next() }
  }

  @Test func tooManyHeadersAreRefused() throws {
    let headers = (0..<HTTPLimits.headers).map { "X-\($0): a\r\n" }.joined()
    #expect(try read("GET / HTTP/1.0\r\n\(headers)\r\n") != nil)
    #expect(throws: HTTPError.headTooLarge) { try read("GET / HTTP/1.0\r\nHost: a\r\n\(headers)\r\n") }
  }

  @Test func foreignBytesAreRequestsOrRefused() throws {
    let corpus = [
      "GET /api/history?window=newest&key=0.all.1&since=12 HTTP/1.1\r\nHost: localhost:5580\r\nCookie: a=b\r\n\r\n",
      "POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nConnection: close\r\n\r\ntoken=%41b+",
    ].map { Array($0.utf8) }
    struct Incomplete: Error {}
    let report = Fuzzing("requests", percent: 1, filter: "HTTPTests.RequestReaderTests").run(
      corpus: corpus, refusing: { $0 is HTTPError || $0 is Incomplete }
    ) { input, _ in
      var reader = RequestReader()
      reader.append(input)
      guard var request = try reader.next() else { throw Incomplete() }
      _ = HTTPRequest.fields(ofForm: String(decoding: request.body, as: UTF8.self))
      while let next = try reader.next() { request = next }
      guard request.body.count <= HTTPLimits.body else {
        throw Fuzzing.Mistake("a body of \(request.body.count) bytes")
      }
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.accepted > 0 && report.refused > 0)
  }
}
