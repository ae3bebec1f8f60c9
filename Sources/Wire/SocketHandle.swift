internal import CZeroMQ
import Glibc
import Messages
import Numerics

/// A libzmq socket with the options that all of ours share. What speaks through it is `RouterSocket` and `DealerSocket`.
///
/// libzmq's sockets belong to one thread at a time. The first to send or receive becomes its owner; any other stops the
/// program, for what it would do is undefined. Setting up before the owner starts, and closing after it ended, is fine.
final class SocketHandle {
  let context: Context
  let raw: UnsafeMutableRawPointer
  /// What encryption adds to a frame on the wire.
  private var sealBytes = 0
  /// Whether each message begins with the name of the connection that brought it.
  private let namesConnections: Bool
  private var owner: pthread_t?

  init(_ type: Int32, in context: Context, for traffic: Traffic) throws(WireError) {
    guard let raw = zmq_socket(context.handle, type) else { throw .lastError(in: "zmq_socket") }
    self.context = context
    self.raw = raw
    namesConnections = type == ZMQ_ROUTER
    // A frame that announces more ends the connection before anything is allocated for it.
    try set(ZMQ_MAXMSGSIZE, Int64(WireLimits.frameBytes))
    try set(ZMQ_SNDHWM, Int32(traffic.messagesQueued))
    // Without a bound: where libzmq stops reading for one, and the connection breaks, a ping that was left in its buffer
    // ends the whole process by an assertion (libzmq 4.3.4, `!_io_error`). `ConnectionBounds` has the bound.
    try set(ZMQ_RCVHWM, Int32(0))
    // On closing, last words (a goodbye, "the run is over") have a second to leave.
    try set(ZMQ_LINGER, Int32(1000))
    // A host that vanished without a word is found out by the system, which has it acknowledge something every two
    // seconds, and what was sent: on a control socket soon, on a bulk socket later, for a process that is stopped with a
    // full buffer looks the same. libzmq's own pings would say it later, and the same assertion is theirs.
    try set(ZMQ_TCP_MAXRT, Int32(traffic.unacknowledged.milliseconds))
    try set(ZMQ_TCP_KEEPALIVE, Int32(1))
    try set(ZMQ_TCP_KEEPALIVE_IDLE, Int32(WireLimits.probeEvery.components.seconds))
    try set(ZMQ_TCP_KEEPALIVE_INTVL, Int32(WireLimits.probeEvery.components.seconds))
    try set(ZMQ_TCP_KEEPALIVE_CNT, Int32(4))
    // Connections that never finish their handshake (port scanners) go away.
    try set(ZMQ_HANDSHAKE_IVL, Int32(10_000))
  }

  deinit { zmq_close(raw) }

  func set(_ option: Int32, _ value: some FixedWidthInteger) throws(WireError) {
    var value = value
    guard zmq_setsockopt(raw, option, &value, MemoryLayout.size(ofValue: value)) == 0 else {
      throw .lastError(in: "zmq_setsockopt(\(option))")
    }
  }

  func set(_ option: Int32, bytes: [UInt8]) throws(WireError) {
    guard zmq_setsockopt(raw, option, bytes, bytes.count) == 0 else {
      throw .lastError(in: "zmq_setsockopt(\(option))")
    }
  }

  /// Has frames counted as CurveZMQ sends them: with the command's name and flags, a nonce, and a seal.
  func countsSeals() { sealBytes = 8 + 1 + 8 + 16 }

  /// IPv4 addresses are taken as such; names and `*` may be of either kind.
  func setFamily(for endpoint: Endpoint) throws(WireError) { try set(ZMQ_IPV6, Int32(endpoint.isIPv4 ? 0 : 1)) }

  func setSendBuffer(for endpoint: Endpoint, _ traffic: Traffic) throws(WireError) {
    guard traffic == .bulk, endpoint.isLoopback else { return }
    try set(ZMQ_SNDBUF, WireLimits.loopbackSendBuffer)
  }

  func checkOwner() {
    let current = pthread_self()
    if owner == nil { owner = current }
    invariant(pthread_equal(owner!, current) != 0, "a socket is used by two threads")
  }
}

// MARK: - Waiting

extension SocketHandle {
  /// What a wait ended with; none of it when the time is up, or up to a millisecond before: libzmq counts whole ones.
  struct Readiness {
    var message: Bool
    var event: Bool
    var isWoken: Bool
  }

  /// Waits until a message is here, `monitor` has an event, or `waker` wakes.
  /// - Parameter deadline: nil waits for ever.
  func wait(until deadline: ContinuousClock.Instant?, waker: Waker?, monitor: SocketMonitor) throws(WireError)
    -> Readiness
  {
    checkOwner()
    var items = [raw, monitor.raw].map { zmq_pollitem_t(socket: $0, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0) }
    if let waker {
      items.append(zmq_pollitem_t(socket: nil, fd: waker.descriptor, events: Int16(ZMQ_POLLIN), revents: 0))
    }
    while true {
      let left = deadline.map { max(.zero, $0 - .now).milliseconds } ?? -1
      guard zmq_poll(&items, Int32(items.count), left) >= 0 else {
        // A signal was handled: its handler's work is done, ours goes on.
        if zmq_errno() == EINTR { continue }
        throw .lastError(in: "zmq_poll")
      }
      let isReady = items.map { $0.revents & Int16(ZMQ_POLLIN) != 0 }
      return Readiness(message: isReady[0], event: isReady[1], isWoken: waker != nil && isReady[2])
    }
  }
}

extension Duration {
  /// Rounded up, so that a wait is not cut to a busy loop.
  var milliseconds: Int {
    let (seconds, attoseconds) = components
    return Int(seconds) * 1000 + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}

// MARK: - Frames

extension SocketHandle {
  /// What a multipart message is cut into: the frames up to `limit`, and how many came in all.
  struct Frames {
    var frames: [BulkFrame] = []
    var count = 0
    /// Of all frames; and as they came over the wire.
    var bytes = 0
    var wireBytes = 0
    /// Of the connection that brought it; -1 if that is not known.
    var descriptor: Int32 = -1
  }

  /// All frames of the next message; those past the first `limit` are dropped as they come.
  /// - Returns: nil when no message is here.
  func receiveFrames(atMost limit: Int) throws(WireError) -> Frames? {
    checkOwner()
    var message = Frames()
    while true {
      let frame = BulkFrame()
      let bytes = zmq_msg_recv(frame.message, raw, message.count == 0 ? ZMQ_DONTWAIT : 0)
      guard bytes >= 0 else {
        let code = zmq_errno()
        if code == EINTR { continue }
        if code == EAGAIN, message.count == 0 { return nil }
        throw .lastError(in: "zmq_msg_recv")
      }
      message.count += 1
      message.bytes += Int(bytes)
      let sealed = Int(bytes) + sealBytes
      // A name is the router's own, and did not come over the wire.
      if message.count > 1 || !namesConnections { message.wireBytes += sealed + (sealed > 255 ? 9 : 2) }
      if message.count <= limit { message.frames.append(frame) }
      if zmq_msg_more(frame.message) == 0 {
        message.descriptor = zmq_msg_get(frame.message, ZMQ_SRCFD)
        return message
      }
    }
  }

  /// Sends a message whole, or not at all.
  ///
  /// - Parameter timeout: how long to wait for room.
  func send(_ frames: [OutgoingFrame], timeout: Duration) throws(WireError) -> SendOutcome {
    checkOwner()
    let deadline = ContinuousClock.now + timeout
    for (index, frame) in frames.enumerated() {
      let more = index < frames.count - 1 ? ZMQ_SNDMORE : 0
      while true {
        var wait = ZMQ_DONTWAIT
        // Only the first frame may have to wait: libzmq makes room for messages, not frames.
        if index == 0, timeout > .zero {
          try set(ZMQ_SNDTIMEO, Int32(clamping: max(.zero, deadline - .now).milliseconds))
          wait = 0
        }
        if zmq_msg_send(frame.message, raw, wait | more) >= 0 { break }
        switch zmq_errno() {
        case EINTR: continue
        case EHOSTUNREACH: return .unreachable
        // On a later frame: the connection broke in between, and libzmq took back the frames before.
        case EAGAIN: return .noRoom
        default: throw .lastError(in: "zmq_msg_send")
        }
      }
    }
    return .sent
  }
}

/// What became of a message that was to be sent. "Sent" is handed to libzmq, not arrived.
public enum SendOutcome: Hashable, Sendable {
  case sent
  /// No such peer is connected (any more).
  case unreachable
  /// The queue to the peer is full, or no connection stands yet.
  case noRoom
}
