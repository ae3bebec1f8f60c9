/// One client's connection: what it has sent, what it is to get, and until when. No socket, no clock.
///
///     connection.received(bytes, at: now, answer)      // while wantsBytes
///     connection.sent(count, at: now)                  // of what `unsent` lends
///     if connection.isDone || now >= connection.deadline { close }
public struct HTTPConnection: Sendable {
  /// Between two requests, within one, or while its response is on its way.
  private enum State: Sendable { case idle, reading, responding, done }

  private var reader = RequestReader()
  private var state = State.idle
  /// Head, and the part of it and of `body` that the client has.
  private var head: [UInt8] = []
  private var body: [UInt8] = []
  private var sentBytes = 0
  private var closesAfterwards = false
  /// When it is closed if nothing changes.
  public private(set) var deadline: ContinuousClock.Instant

  public init(at now: ContinuousClock.Instant) {
    // A client that connects has something to ask.
    deadline = now + HTTPLimits.request
  }

  public var isDone: Bool { state == .done }
  /// Whether it has nothing to send, so that whoever is connected for longest gives way to who comes.
  public var waitsForClient: Bool { state == .idle || state == .reading }
  /// While a response is on its way nothing more is read.
  public var wantsBytes: Bool { waitsForClient }
  public var hasUnsent: Bool { state == .responding }

  /// Takes bytes of the client, and answers the request that they complete.
  /// - Parameter answer: called once a whole request.
  public mutating func received(
    _ bytes: some Collection<UInt8>, at now: ContinuousClock.Instant, _ answer: (HTTPRequest) -> HTTPResponse
  ) {
    guard waitsForClient else { return }
    reader.append(bytes)
    proceed(at: now, answer)
  }

  /// The deadline has passed.
  public mutating func expired(at now: ContinuousClock.Instant) {
    guard state == .reading else {
      state = .done
      return
    }
    refuse(.tooSlow, at: now)
  }

  /// The client takes no more either.
  public mutating func abandon() { state = .done }

  /// The client sends no more. What it asked for it still gets.
  public mutating func ended() {
    if waitsForClient { state = .done } else { closesAfterwards = true }
  }

  /// Lends what the client has not got yet, in at most two pieces; the closure says how many bytes of it were sent.
  public mutating func send(
    at now: ContinuousClock.Instant, _ answer: (HTTPRequest) -> HTTPResponse,
    _ transmit: (UnsafeRawBufferPointer) -> Int
  ) {
    while state == .responding {
      let inHead = sentBytes < head.count
      let count = (inHead ? head : body).withUnsafeBytes { bytes in
        transmit(UnsafeRawBufferPointer(rebasing: bytes[(inHead ? sentBytes : sentBytes - head.count)...]))
      }
      guard count > 0 else { return }
      sentBytes += count
      if sentBytes == head.count + body.count { responded(at: now, answer) }
    }
  }

  private mutating func responded(at now: ContinuousClock.Instant, _ answer: (HTTPRequest) -> HTTPResponse) {
    (head, body, sentBytes) = ([], [], 0)
    state = closesAfterwards ? .done : .idle
    deadline = now + HTTPLimits.idle
    // A client may have asked for more already.
    if state == .idle { proceed(at: now, answer) }
  }

  private mutating func proceed(at now: ContinuousClock.Instant, _ answer: (HTTPRequest) -> HTTPResponse) {
    do throws(HTTPError) {
      if let request = try reader.next() {
        var response = answer(request)
        if request.method == "HEAD" { response.body = [] }
        respond(response, closing: !request.keepsAlive, at: now)
      } else if reader.hasBegun, state == .idle {
        state = .reading
        deadline = now + HTTPLimits.request
      }
    } catch {
      refuse(error, at: now)
    }
  }

  private mutating func refuse(_ error: HTTPError, at now: ContinuousClock.Instant) {
    respond(HTTPResponse(error.status, sentence: "\(error)"), closing: true, at: now)
  }

  private mutating func respond(_ response: HTTPResponse, closing: Bool, at now: ContinuousClock.Instant) {
    closesAfterwards = closing
    (head, body, sentBytes) = (response.head(closing: closing), response.body, 0)
    state = .responding
    deadline = now + HTTPLimits.response
  }
}
