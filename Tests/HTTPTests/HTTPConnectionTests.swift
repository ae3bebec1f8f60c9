import HTTP
import Testing

@Suite("A connection is answered in order, and ends in time")
struct HTTPConnectionTests {
  private let start = ContinuousClock.now
  private let answer: (HTTPRequest) -> HTTPResponse = { HTTPResponse(200, body: Array($0.path.utf8)) }

  /// All that the connection has to say, `atOnce` bytes at a time.
  private func drain(_ connection: inout HTTPConnection, atOnce: Int = 7) -> String {
    var bytes: [UInt8] = []
    connection.send(at: start, answer) { unsent in
      let count = min(atOnce, unsent.count)
      bytes += unsent[..<count]
      return count
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private func opened(_ text: String) -> HTTPConnection {
    var connection = HTTPConnection(at: start)
    connection.received(Array(text.utf8), at: start, answer)
    return connection
  }

  @Test func requestsThatCameTogetherAreAnsweredOneAfterTheOther() {
    var connection = opened("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(!connection.wantsBytes)
    let said = drain(&connection)
    #expect(said.hasPrefix("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n/aHTTP/1.1 200 OK"))
    #expect(said.hasSuffix("\r\n\r\n/b"))
    #expect(connection.wantsBytes)
    #expect(!connection.isDone)
  }

  @Test func aClientThatReadsNothingIsHungUpOn() {
    var connection = opened("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.send(at: start, answer) { _ in 0 }
    #expect(connection.deadline == start + HTTPLimits.response)
    connection.expired(at: connection.deadline)
    #expect(connection.isDone)
  }

  @Test func aRequestThatDripsInIsRefusedInTime() {
    var connection = opened("GET /a HT")
    let deadline = connection.deadline
    #expect(deadline == start + HTTPLimits.request)
    connection.received(Array("TP/1.1\r\n".utf8), at: start + .seconds(4), answer)
    #expect(connection.deadline == deadline)
    connection.expired(at: deadline)
    #expect(drain(&connection).hasPrefix("HTTP/1.1 408 "))
    #expect(connection.isDone)
  }

  @Test func aConnectionThatAsksNothingIsClosed() {
    var connection = HTTPConnection(at: start)
    #expect(connection.deadline == start + HTTPLimits.request)
    connection.expired(at: connection.deadline)
    #expect(connection.isDone)

    connection = opened("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    _ = drain(&connection)
    #expect(connection.deadline == start + HTTPLimits.idle)
  }

  @Test func whoAsksForItOrErrsIsHungUpOnAfterTheAnswer() {
    var connection = opened("GET /a HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n")
    #expect(drain(&connection).contains("Connection: close\r\n"))
    #expect(connection.isDone)

    connection = opened("nonsense\r\n\r\n")
    #expect(drain(&connection).hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
    #expect(connection.isDone)
  }

  @Test func headGetsNoBody() {
    var connection = opened("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(drain(&connection).hasSuffix("\r\n\r\n"))
  }
}
