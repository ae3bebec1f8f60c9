internal import CZeroMQ
import Glibc
import Numerics
import Synchronization

/// What libzmq tells about a socket's connections, beside its messages: that they come, end, and how they fail.
///
/// Belongs to the thread that owns the socket, which polls `raw` beside it and then takes the events.
final class SocketMonitor {
  enum Event: Equatable {
    /// The descriptor at which newcomers are taken.
    case listening(descriptor: Int32)
    /// Either side; the connection's descriptor, which may be another's by now.
    case connected(descriptor: Int32)
    /// Both sides know each other: messages may go.
    case ready
    /// A connection is on its way.
    case connecting
    /// None could be made; libzmq will try again by itself.
    case retrying
    case disconnected(descriptor: Int32)
    /// Before the handshake was over; libzmq knows no more.
    case handshakeBroken
    /// The other side speaks another language, or another mechanism, or has another key.
    case handshakeRefused(problem: Int32)
    case keyRefused
  }

  let raw: UnsafeMutableRawPointer
  /// What it listens to, which must not be closed before it is let go of.
  private let socket: SocketHandle
  private static let made = Atomic<Int>(0)

  init(of socket: SocketHandle) throws(WireError) {
    let number = Self.made.add(1, ordering: .relaxed).newValue
    let address = "inproc://massl-monitor-\(number)"
    let events =
      ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
      | ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED
      | ZMQ_EVENT_CONNECT_DELAYED
      | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED
    guard zmq_socket_monitor(socket.raw, address, events) == 0 else { throw .lastError(in: "zmq_socket_monitor") }
    guard let raw = zmq_socket(socket.context.handle, ZMQ_PAIR) else {
      let error = WireError.lastError(in: "zmq_socket")
      Self.silence(socket)
      throw error
    }
    // libzmq's I/O thread writes the events and would wait, with all traffic, while a bounded queue is full.
    var unbounded: Int32 = 0
    var linger: Int32 = 0
    zmq_setsockopt(raw, ZMQ_RCVHWM, &unbounded, MemoryLayout.size(ofValue: unbounded))
    zmq_setsockopt(raw, ZMQ_LINGER, &linger, MemoryLayout.size(ofValue: linger))
    guard zmq_connect(raw, address) == 0 else {
      let error = WireError.lastError(in: "zmq_connect(monitor)")
      Self.silence(socket)
      zmq_close(raw)
      throw error
    }
    self.raw = raw
    self.socket = socket
  }

  deinit {
    Self.silence(socket)
    zmq_close(raw)
  }

  /// Has libzmq write no more events. Where nobody is there to take one its I/O thread waits for ever, and with it all
  /// sockets of the context: so this comes before the end that takes them is closed.
  private static func silence(_ socket: SocketHandle) { zmq_socket_monitor(socket.raw, nil, 0) }

  /// The next event, without waiting, and of a connection to or from where; nil when there is none.
  func next() -> (event: Event, address: String)? {
    while true {
      let head = BulkFrame()
      let address = BulkFrame()
      guard zmq_msg_recv(head.message, raw, ZMQ_DONTWAIT) >= 0, zmq_msg_more(head.message) != 0,
        zmq_msg_recv(address.message, raw, 0) >= 0
      else { return nil }
      // 16 bits of event, 32 of value, as this machine writes them.
      let (kind, value) = head.withBytes {
        (Int32($0.loadUnaligned(as: UInt16.self)), $0.loadUnaligned(fromByteOffset: 2, as: Int32.self))
      }
      let event: Event
      switch kind {
      case ZMQ_EVENT_LISTENING: event = .listening(descriptor: value)
      case ZMQ_EVENT_ACCEPTED, ZMQ_EVENT_CONNECTED: event = .connected(descriptor: value)
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: event = .ready
      case ZMQ_EVENT_CONNECT_DELAYED: event = .connecting
      case ZMQ_EVENT_CONNECT_RETRIED: event = .retrying
      case ZMQ_EVENT_DISCONNECTED: event = .disconnected(descriptor: value)
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: event = .handshakeBroken
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL: event = .handshakeRefused(problem: value)
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: event = .keyRefused
      default: continue
      }
      return (event, String(decoding: address.bytes, as: UTF8.self))
    }
  }
}

/// Keeps a peer that fails again and again from filling the log: a sentence once a minute, and few sentences.
struct Complaints {
  private static let quiet = Duration.seconds(60)
  private static let atMost = 16
  private var recent: [(error: WireError, since: ContinuousClock.Instant)] = []
  private var waiting: [WireError] = []

  /// - Parameter refine: the error in better words, if it is to be said.
  mutating func add(
    _ error: WireError, at now: ContinuousClock.Instant = .now, refine: (WireError) -> WireError = { $0 }
  ) {
    recent.removeAll { now - $0.since >= Self.quiet }
    guard recent.count < Self.atMost, !recent.contains(where: { $0.error == error }) else { return }
    recent.append((error, now))
    let refined = refine(error)
    if refined != error {
      guard !recent.contains(where: { $0.error == refined }) else { return }
      recent.append((refined, now))
    }
    waiting.append(refined)
  }

  /// The oldest that was not said yet.
  mutating func next() -> WireError? { waiting.isEmpty ? nil : waiting.removeFirst() }
}
