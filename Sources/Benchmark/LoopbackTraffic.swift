internal import CZeroMQ
import Glibc
import Messages
import Numerics
import Threads
import Wire

/// `massl bench wire`: bulk replies of 1 MiB through this program's sockets, beside libzmq by itself and a bare TCP
/// connection, over loopback. This is the one place outside `Wire` that calls libzmq: it is what is measured against.
public enum LoopbackTraffic {
  /// Frames a round; requests under way at once, as a worker has them.
  static let frames = 512
  static let window = 8
  static let frameBytes = WireLimits.bulkBytes

  /// - Throws: `WireError` if a socket cannot be had.
  public static func measure(rounds: Int) throws -> [Figure] {
    let own = try OwnSockets()
    let raw = RawZeroMQ(frames: Array(repeating: frameBytes, count: frames))
    let tcp = try RawTCP()
    let seconds = try Timing.medians(rounds: rounds, [{ raw.run() }, { tcp.run() }, { try own.run() }])
    let rates = seconds.map { Double(frames * frameBytes) / $0 / 1e9 }
    return [
      Figure("wire", rates[2], unit: "GB/s", ceiling: .init("raw ZeroMQ", rates[0]), digest: own.digest),
      Figure("wire", rates[2], unit: "GB/s", ceiling: .init("raw TCP", rates[1])),
    ]
  }

}

// MARK: - This program's sockets

private final class OwnSockets {
  /// As two processes have.
  private let contexts: [Context]
  private let thread: SocketThread
  private let dealer: DealerSocket
  private let sender = Sender(run: RunIdentity(high: 0, low: 1), incarnation: Incarnation(1), peer: .random())
  private let received = FloatBuffer(count: WireLimits.bulkFloats)

  init() throws {
    contexts = [try Context(), try Context()]
    let router = try RouterSocket(
      in: contexts[0], listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .bulk, security: .none(.loopback))
    dealer = try DealerSocket(
      in: contexts[1], as: sender.peer, connectingTo: router.endpoint, for: .bulk, security: .none(.loopback))
    let floats = FloatBuffer(count: WireLimits.bulkFloats)
    fill(floats.vector, with: 1)
    let sender = sender
    thread = try SocketThread(named: "massl-bench", owning: router, outboxCapacity: 1, tick: .seconds(1)) {
      event, socket in
      guard case .received(.message(let incoming)) = event else { return }
      _ = try? socket.send(
        Outgoing(
          Envelope(
            sender: sender, message: .bulkReply(.weights(network: .student, step: 0, offset: 0)),
            exchange: incoming.envelope.exchange), bulk: .floats(floats, 0..<floats.count), to: incoming.peer),
        timeout: .seconds(10))
    }
  }

  deinit { thread.stop() }

  var digest: String { "\(received.digest)" }

  func run() throws {
    var (sent, taken) = (0, 0)
    while taken < LoopbackTraffic.frames {
      while sent < LoopbackTraffic.frames, sent - taken < LoopbackTraffic.window {
        let request = BulkRequest.weights(network: .student, step: 0, offset: 0, count: WireLimits.bulkFloats)
        _ = try dealer.send(
          Outgoing(Envelope(sender: sender, message: .bulkRequest(request), exchange: UInt64(sent + 1))),
          timeout: .seconds(10))
        sent += 1
      }
      guard case .message(let incoming)? = try dealer.receive(timeout: .seconds(10)), let frame = incoming.bulk else {
        throw WireError.closed
      }
      frame.copy(into: received, at: 0)
      taken += 1
    }
  }
}

// MARK: - libzmq by itself

/// Frames of given sizes, one a request.
///
/// `@unchecked Sendable`: the server's socket is its thread's alone, the rest is the caller's.
final class RawZeroMQ: @unchecked Sendable {
  /// One for each end, as two processes have.
  private let contexts = [zmq_ctx_new()!, zmq_ctx_new()!]
  private let client: UnsafeMutableRawPointer
  private let frames: [Int]
  private let buffer: UnsafeMutableRawPointer

  /// - Parameters:
  ///   - frames: their bytes, in order.
  ///   - bytes: that they are taken from, one after the other: as much data as the program that is measured against this
  ///     has to send, so that neither sends out of a cache what the other has to fetch.
  init(frames: [Int], outOf bytes: Int = LoopbackTraffic.frameBytes) {
    self.frames = frames
    let largest = frames.max() ?? 1
    buffer = .allocate(byteCount: largest, alignment: 64)
    let bytes = max(bytes, largest)
    client = zmq_socket(contexts[0], ZMQ_DEALER)!
    let server = zmq_socket(contexts[1], ZMQ_ROUTER)!
    zmq_bind(server, "tcp://127.0.0.1:*")
    var text = [CChar](repeating: 0, count: 256)
    var count = text.count
    zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, &text, &count)
    zmq_connect(client, text)
    // A program that serves has something to send: a page that is there.
    let source = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    source.initializeMemory(as: UInt8.self, repeating: 1, count: bytes)
    // libzmq's sockets may be handed from one thread to another before they are used.
    let addresses = (UInt(bitPattern: server), UInt(bitPattern: source))
    startThread(named: "massl-bench-raw") {
      let (server, source) = (
        UnsafeMutableRawPointer(bitPattern: addresses.0)!, UnsafeMutableRawPointer(bitPattern: addresses.1)!
      )
      var (identity, request) = (zmq_msg_t(), zmq_msg_t())
      zmq_msg_init(&identity)
      zmq_msg_init(&request)
      var (index, offset) = (0, 0)
      while zmq_msg_recv(&identity, server, 0) >= 0, zmq_msg_recv(&request, server, 0) >= 0 {
        zmq_msg_send(&identity, server, ZMQ_SNDMORE)
        let count = frames[index % frames.count]
        index += 1
        if offset + count > bytes { offset = 0 }
        var reply = zmq_msg_t()
        zmq_msg_init_data(&reply, source + offset, count, { _, _ in }, nil)
        zmq_msg_send(&reply, server, 0)
        offset += count
      }
      zmq_close(server)
      source.deallocate()
    }
  }

  deinit {
    for context in contexts { zmq_ctx_shutdown(context) }
    zmq_close(client)
    for context in contexts { zmq_ctx_term(context) }
    buffer.deallocate()
  }

  func run() {
    var (sent, taken) = (0, 0)
    var reply = zmq_msg_t()
    zmq_msg_init(&reply)
    while taken < frames.count {
      while sent < frames.count, sent - taken < LoopbackTraffic.window {
        zmq_send(client, "?", 1, 0)
        sent += 1
      }
      zmq_msg_recv(&reply, client, 0)
      buffer.copyMemory(from: zmq_msg_data(&reply), byteCount: zmq_msg_size(&reply))
      taken += 1
    }
    zmq_msg_close(&reply)
  }
}

// MARK: - A bare connection

/// `@unchecked Sendable`: descriptors that never change.
private final class RawTCP: @unchecked Sendable {
  private let client: Int32
  private let buffer = UnsafeMutableRawPointer.allocate(byteCount: LoopbackTraffic.frameBytes, alignment: 64)

  init() throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let (listener_, client_) = (listener, client)
    let isConnected = withUnsafeMutablePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(listener_, address, length) == 0 && listen(listener_, 1) == 0
          && getsockname(listener_, address, &length) == 0 && connect(client_, address, length) == 0
      }
    }
    let server = accept(listener, nil, nil)
    close(listener)
    guard isConnected, server >= 0 else {
      throw WireError.library(call: "connect", reason: String(cString: strerror(errno)))
    }
    startThread(named: "massl-bench-tcp") {
      let source = [UInt8](repeating: 1, count: LoopbackTraffic.frameBytes)
      var wanted: UInt8 = 0
      while read(server, &wanted, 1) == 1 {
        var sent = 0
        while sent < source.count {
          let count = source.withUnsafeBytes {
            send(server, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
          }
          guard count > 0 else { return }
          sent += count
        }
      }
      close(server)
    }
  }

  deinit {
    close(client)
    buffer.deallocate()
  }

  func run() {
    var (asked, taken) = (0, 0)
    var question: UInt8 = 1
    while taken < LoopbackTraffic.frames {
      while asked < LoopbackTraffic.frames, asked - taken < LoopbackTraffic.window {
        guard write(client, &question, 1) == 1 else { return }
        asked += 1
      }
      var have = 0
      while have < LoopbackTraffic.frameBytes {
        let count = read(client, buffer + have, LoopbackTraffic.frameBytes - have)
        guard count > 0 else { return }
        have += count
      }
      taken += 1
    }
  }
}
