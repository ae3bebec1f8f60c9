import Glibc
import Messages

/// Answers HTTP/1.1 requests in one thread: what any number of clients can take from it is bounded by `HTTPLimits`.
///
///     let server = try HTTPServer(at: endpoint)
///     server.run { request, source in ... }       // never returns; answers from memory, at once
///
/// Where all places are taken, whoever comes gets that of the connection that has waited for its client for longest. So a
/// crowd of idle or slow connections keeps nobody out, and a connection that asks and reads keeps its place.
public final class HTTPServer {
  /// The next look at deadlines comes no later, in milliseconds.
  private static let look: CInt = 1000
  /// Taken from the queue of those who wait before who is connected is served again.
  private static let acceptedAtOnce = 16
  /// While descriptors are lacking nobody is let in, in milliseconds.
  private static let pause: CInt = 100

  private struct Client {
    let descriptor: CInt
    let source: String
    var connection: HTTPConnection
    /// When it last got, or sent, anything.
    var since: ContinuousClock.Instant
  }

  private let socket: ListeningSocket
  private var clients: [Client] = []
  private var lacksDescriptors = false
  private var chunk = [UInt8](repeating: 0, count: HTTPLimits.head)

  /// - Throws: `ListenError`.
  public init(at endpoint: Endpoint) throws(ListenError) { socket = try ListeningSocket(at: endpoint) }

  /// Where it listens.
  public var endpoint: Endpoint { socket.endpoint }

  /// - Parameter answer: gets each request and the address that it comes from.
  public func run(_ answer: (HTTPRequest, _ source: String) -> HTTPResponse) -> Never {
    while true { turn(answer) }
  }

  /// Waits for something to do, and does it.
  private func turn(_ answer: (HTTPRequest, String) -> HTTPResponse) {
    var polled = clients.map {
      pollfd(fd: $0.descriptor, events: Int16($0.connection.hasUnsent ? POLLOUT : POLLIN), revents: 0)
    }
    if !lacksDescriptors { polled.append(pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)) }
    _ = poll(&polled, nfds_t(polled.count), lacksDescriptors ? Self.pause : Self.look)
    let now = ContinuousClock.now
    for index in clients.indices where polled[index].revents != 0 {
      let source = clients[index].source
      serve(&clients[index], at: now) { answer($0, source) }
    }
    for index in clients.indices where now >= clients[index].connection.deadline {
      clients[index].connection.expired(at: now)
    }
    close(where: { $0.connection.isDone })
    if lacksDescriptors || polled.last?.revents != 0 { admit(at: now) }
  }

  private func serve(
    _ client: inout Client, at now: ContinuousClock.Instant, _ answer: (HTTPRequest) -> HTTPResponse
  ) {
    if client.connection.wantsBytes {
      let count = recv(client.descriptor, &chunk, chunk.count, 0)
      if count > 0 {
        client.connection.received(chunk[..<count], at: now, answer)
      } else if count == 0 || errno != EAGAIN && errno != EINTR {
        client.connection.ended()
      }
    }
    guard client.connection.hasUnsent else { return }
    var hasFailed = false
    let descriptor = client.descriptor
    client.connection.send(at: now, answer) { bytes in
      let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
      if count < 0, errno != EAGAIN, errno != EINTR { hasFailed = true }
      return count
    }
    if hasFailed { client.connection.abandon() }
    client.since = now
  }

  /// Lets in who waits.
  private func admit(at now: ContinuousClock.Instant) {
    lacksDescriptors = false
    for _ in 0..<Self.acceptedAtOnce {
      guard let (descriptor, source) = socket.accept() else {
        lacksDescriptors = errno == EMFILE || errno == ENFILE
        return
      }
      if clients.count == HTTPLimits.connections { makeRoom() }
      clients.append(
        Client(descriptor: descriptor, source: source, connection: HTTPConnection(at: now), since: now))
    }
  }

  /// Closes the connection that has waited for its client for longest; that of the slowest reader if none does.
  private func makeRoom() {
    let waiting = clients.indices.filter { clients[$0].connection.waitsForClient }
    let candidates = waiting.isEmpty ? Array(clients.indices) : waiting
    guard let oldest = candidates.min(by: { clients[$0].since < clients[$1].since }) else { return }
    Glibc.close(clients[oldest].descriptor)
    clients.remove(at: oldest)
  }

  private func close(where isOver: (Client) -> Bool) {
    for client in clients where isOver(client) { Glibc.close(client.descriptor) }
    clients.removeAll(where: isOver)
  }
}
