import Messages
import Numerics
import Synchronization
import Wire

/// Answers on their way out of a bulk socket, and the requests that wait for their turn: of bounded size, however many
/// peers ask and do not read, and each peer's share apart from the others'. Belongs to the socket's thread.
///
///     request -> its peer's queue -> in turn with other peers -> a frame -> libzmq, until it has sent it
///
/// A peer's requests are answered while its answers under way fill no more than its share, which is the smaller the less
/// room is left for others. Whoever does not read keeps its own share, and its requests wait; once all room is taken, who
/// has kept answers for the longest is hung up on. Who asks for more than may wait is told to ask again.
package struct BoundedReplies: Sendable {
  /// What is said to a request that may not wait.
  static let tooManyRequests = "too many requests wait; ask again"
  /// Frames of one peer's: more than a worker asks for at a time.
  static let framesAPeer = 32
  /// Requests that wait: each some kilobytes.
  private static let requestsAtMost = 8192
  /// The same, of one peer: a window for each thread of a large machine.
  private static let requestsAPeer = 1024
  /// Small answers of a peer that found its queue full: those beyond are dropped.
  private static let repliesAPeer = 64
  /// What an answer counts at least, in bytes.
  private static let leastBytes = 4096
  /// Bytes of a frame.
  private static let frameBytes = RowAnswers.bufferFloats * MemoryLayout<Float>.stride
  /// How long one may keep an answer where others wait for its room.
  private static let patience = Duration.seconds(2)
  /// A peer that keeps an answer for so long is named, once.
  private static let noticePatience = Duration.seconds(5)
  /// How long answers are made before others are heard again.
  static let attention = Duration.milliseconds(50)
  /// Between two lines about such peers.
  private static let noticePause = Duration.seconds(10)

  /// An answer that libzmq has not let go of.
  private struct UnderWay: Sendable {
    var buffer: FloatBuffer
    /// Whether the buffer is one of `free`'s.
    var isFrame: Bool
    var bytes: Int
    var since: ContinuousClock.Instant
  }

  private struct Share: Sendable {
    var requests: [Incoming] = []
    /// In the order in which they are sent.
    var underWay: [UnderWay] = []
    var bytes = 0
    /// Answers that found libzmq's queue to the peer full.
    var waiting: [Outgoing] = []
    /// Whether it is in `turns`.
    var hasTurn = false
    var isNamed = false
    var isEmpty: Bool { requests.isEmpty && underWay.isEmpty && waiting.isEmpty }
  }

  private let framesAtMost: Int
  private let log: ServiceLog
  private var shares: [PeerID: Share] = [:]
  /// Peers that may have an answer made, the next one first. Others wait for room, which the next tick looks for.
  private var turns: [PeerID] = []
  private var requestCount = 0
  /// Of all answers under way.
  private var bytes = 0
  private var free: [FloatBuffer] = []
  private var made = 0
  /// Whether somebody waited for room that others have, since the last tick.
  private var wasFull = false
  private var notice = ContinuousClock.now
  /// When a message that is none may be named next, and how many were not since the last.
  private var complaint = ContinuousClock.now
  private var malformed = 0

  /// - Parameter frames: of all answers under way.
  package init(frames: Int = WireLimits.framesAnswered, log: @escaping ServiceLog) {
    framesAtMost = frames
    self.log = log
  }
}

// MARK: - Requests

extension BoundedReplies {
  /// Has a request wait for its turn.
  /// - Returns: the request that may not wait any more, if there are too many: this one, or one of who has the most.
  package mutating func add(_ request: Incoming) -> Incoming? {
    let count = shares[request.peer]?.requests.count ?? 0
    guard count < Self.requestsAPeer else { return request }
    var dropped: Incoming?
    if requestCount >= Self.requestsAtMost {
      guard let longest = shares.max(by: { $0.value.requests.count < $1.value.requests.count }),
        longest.value.requests.count > count + 1
      else { return request }
      dropped = shares[longest.key]?.requests.popLast()
      requestCount -= 1
    }
    shares[request.peer, default: Share()].requests.append(request)
    requestCount += 1
    giveTurn(request.peer)
    return dropped
  }

  private mutating func giveTurn(_ peer: PeerID) {
    guard shares[peer]?.hasTurn == false, shares[peer]?.requests.isEmpty == false else { return }
    shares[peer]?.hasTurn = true
    turns.append(peer)
  }

  /// The next request that may be answered, and a frame for its answer, which `send` takes back; nil while there is none.
  package mutating func next(on socket: RouterSocket) -> (request: Incoming, frame: FloatBuffer)? {
    while !turns.isEmpty {
      let peer = turns.removeFirst()
      shares[peer]?.hasTurn = false
      sendWaiting(peer, on: socket)
      collect(peer)
      // Else without a turn until a tick, or its next request.
      guard shares[peer]?.requests.isEmpty == false, shares[peer]?.waiting.isEmpty == true,
        hasRoom(beside: shares[peer]?.bytes ?? 0), let frame = takeFrame()
      else { continue }
      guard let request = takeRequest(peer) else { fatalError("invariant broken: a request that is gone") }
      giveTurn(peer)
      return (request, frame)
    }
    return nil
  }

  private mutating func takeRequest(_ peer: PeerID) -> Incoming? {
    requestCount -= 1
    return shares[peer]?.requests.removeFirst()
  }

  /// A share is what leaves four times as much for others, and a frame at least while there is any room.
  /// - Parameter own: bytes of the peer's answers under way.
  private mutating func hasRoom(beside own: Int) -> Bool {
    let all = framesAtMost * Self.frameBytes
    if bytes + Self.frameBytes > all { collectAll() }
    guard bytes + Self.frameBytes <= all else {
      wasFull = true
      return false
    }
    return own == 0 || own + Self.frameBytes <= min(Self.framesAPeer * Self.frameBytes, (all - bytes) / 4)
  }
}

// MARK: - Frames

extension BoundedReplies {
  private mutating func takeFrame() -> FloatBuffer? {
    if free.isEmpty, made >= framesAtMost { collectAll() }
    if let frame = free.popLast() { return frame }
    guard made < framesAtMost else { return nil }
    made += 1
    return FloatBuffer(count: RowAnswers.bufferFloats)
  }

  /// Takes back what libzmq let go of.
  private mutating func collect(_ peer: PeerID) {
    guard let index = shares.index(forKey: peer) else { return }
    var done = 0
    while done < shares.values[index].underWay.count,
      isKnownUniquelyReferenced(&shares.values[index].underWay[done].buffer)
    {
      let answer = shares.values[index].underWay[done]
      shares.values[index].bytes -= answer.bytes
      bytes -= answer.bytes
      if answer.isFrame { free.append(answer.buffer) }
      done += 1
    }
    guard done > 0 else { return }
    // What libzmq read in its thread is read before anything is written there.
    atomicMemoryFence(ordering: .acquiring)
    shares.values[index].underWay.removeFirst(done)
  }

  private mutating func collectAll() { for peer in shares.keys { collect(peer) } }
}

// MARK: - What is no message

extension BoundedReplies {
  /// Says what came that is no message: of peers, who may send such things as often as they like, a line at a time.
  mutating func complain(of peer: PeerID?, _ error: WireError, at now: ContinuousClock.Instant = .now) {
    guard peer != nil else { return log(.warning, "\(error)") }
    guard now >= complaint else { return malformed += 1 }
    log(.warning, malformed == 0 ? "\(error)" : "\(error) So were \(malformed) others before.")
    (complaint, malformed) = (now + Self.noticePause, 0)
  }
}

// MARK: - Answers

extension BoundedReplies {
  /// Sends an answer, or keeps it for later. A peer that left needs none; a failing socket shows when it receives.
  /// - Parameter frame: what `next` gave for it, whether the answer is in there or not; nil for an answer without bulk.
  package mutating func send(_ reply: Outgoing?, _ frame: FloatBuffer?, on socket: RouterSocket) {
    guard let reply, let peer = reply.peer else {
      if let frame { free.append(frame) }
      return
    }
    if case .leading(let buffer, let count)? = reply.bulk {
      let isFrame = buffer === frame
      let bytes = isFrame ? Self.frameBytes : max(Self.leastBytes, count)
      shares[peer, default: Share()].underWay.append(
        UnderWay(buffer: buffer, isFrame: isFrame, bytes: bytes, since: .now))
      shares[peer]?.bytes += bytes
      self.bytes += bytes
      if let frame, !isFrame { free.append(frame) }
    } else {
      invariant(reply.bulk == nil, "an answer in memory that is nobody's share")
      if let frame { free.append(frame) }
    }
    let waiting = shares[peer]?.waiting.count ?? 0
    guard waiting > 0 || hand(reply, to: peer, on: socket) == .noRoom else { return }
    guard waiting < Self.repliesAPeer else { return }
    shares[peer, default: Share()].waiting.append(reply)
  }

  /// Of a peer that is gone nothing waits any more: to answer thousands of requests for nobody would keep others waiting.
  private mutating func hand(_ reply: Outgoing, to peer: PeerID, on socket: RouterSocket) -> SendOutcome? {
    let outcome = try? socket.send(reply)
    if outcome == .unreachable { forgetRequests(of: peer) }
    return outcome
  }

  private mutating func forgetRequests(of peer: PeerID) {
    requestCount -= shares[peer]?.requests.count ?? 0
    shares[peer]?.requests = []
    shares[peer]?.waiting = []
  }

  /// Tries again what found its peer's queue full, and gives those with room a turn: at each tick. Ends the connections of
  /// those that keep what others wait for.
  mutating func tick(on socket: RouterSocket, at now: ContinuousClock.Instant = .now) {
    for peer in Array(shares.keys) {
      sendWaiting(peer, on: socket)
      collect(peer)
      if shares[peer]?.isEmpty == true { shares[peer] = nil }
      giveTurn(peer)
    }
    if wasFull { makeRoom(on: socket, now) }
    wasFull = false
    if now >= notice { name(on: socket, now) }
  }

  private mutating func sendWaiting(_ peer: PeerID, on socket: RouterSocket) {
    while let reply = shares[peer]?.waiting.first, hand(reply, to: peer, on: socket) != .noRoom {
      // Unless it is gone.
      if shares[peer]?.waiting.isEmpty == false { shares[peer]?.waiting.removeFirst() }
    }
  }

  private mutating func makeRoom(on socket: RouterSocket, _ now: ContinuousClock.Instant) {
    for (peer, share) in shares {
      guard let oldest = share.underWay.first, now - oldest.since > Self.patience else { continue }
      // Its connection may be gone already; then libzmq is about to let go.
      _ = socket.hangUp(on: peer)
      forgetRequests(of: peer)
    }
  }

  /// One line for all who were not named yet.
  private mutating func name(on socket: RouterSocket, _ now: ContinuousClock.Instant) {
    let stuck = shares.filter { _, share in
      !share.isNamed && (share.underWay.first.map { now - $0.since > Self.noticePatience } ?? false)
    }
    guard let (peer, share) = stuck.max(by: { $0.value.bytes < $1.value.bytes }) else { return }
    for other in stuck.keys { shares[other]?.isNamed = true }
    notice = now + Self.noticePause
    let place = socket.address(of: peer).map { " at \($0)" } ?? ""
    let others = stuck.count == 1 ? "" : " So do \(stuck.count - 1) others."
    log(
      .warning,
      "\(peer)\(place) does not read what it asked for: \(share.bytes >> 10) KiB of answers and \(share.requests.count) "
        + "requests of it wait.\(others) Whoever reads is served.")
  }
}
