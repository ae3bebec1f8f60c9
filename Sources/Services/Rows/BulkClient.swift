import Glibc
import Messages
import Numerics
import Synchronization
import Threads
import Wire

/// Asks the coordinator for bulk data, from any thread: requests go out together, answers are taken as they come.
///
/// Each request has a number that its reply repeats. What is under way when the connection breaks is asked again over the
/// next one, within the same `patience`; a push has failed then, for what came of it is thrown away. What is not answered
/// within `patience` has failed; the caller gives its lease back, and the coordinator leases it anew.
package final class BulkClient: Sendable {
  /// A reply with its frame.
  package typealias Answer = (reply: BulkReply, bulk: BulkFrame?)
  /// Takes what comes of requests, in any order, each with the index that its asker gave it.
  package typealias Answers = BoundedQueue<(index: Int, result: Result<Answer, BulkError>)>

  /// Without an answer for so long the coordinator is taken for gone.
  static let patience = Duration.seconds(20)

  private struct Waiting: Sendable {
    var answers: Answers
    var index: Int
    /// Nil for a push, which is many messages.
    var request: BulkRequest?
    /// Of the bytes that are asked for; nil where the asker sees for itself that they are right.
    var hash: ContentHash?
    var deadline: ContinuousClock.Instant
  }

  private struct State: Sendable {
    /// The next request's number. Not 1: a client before this one, with the same peer id, may be owed answers still.
    var next = UInt64.random(in: 1...1 << 62)
    var waiting: [UInt64: Waiting] = [:]
    /// Requests of a connection that broke, the oldest first: to be asked again.
    var unasked: [UInt64] = []
  }

  /// Whom it asks.
  let endpoint: Endpoint
  private let reach: Arc<Mutex<BulkReach>>
  private let sender: Sender
  private let state: Arc<Mutex<State>>
  private let thread: SocketThread

  /// `Mutex` cannot be captured by itself.
  private final class Arc<Value: ~Copyable & Sendable>: Sendable {
    let value: Value
    init(_ value: consuming Value) { self.value = value }
  }

  /// - Parameters:
  ///   - control: the address whose other port answers; of a name's addresses it is the one to try first.
  ///   - complain: takes it, in the socket's thread, if no connection comes about.
  package init(
    context: Context, sender: Sender, endpoint: Endpoint, control: Endpoint? = nil, security: Security<ClientKeys>,
    complain: @escaping @Sendable (String) -> Void = { _ in }
  ) throws {
    self.sender = sender
    self.endpoint = endpoint
    let socket = try DealerSocket(
      in: context, as: sender.peer, connectingTo: endpoint, first: control, for: .bulk, security: security)
    let reach = Arc(Mutex(BulkReach(of: endpoint, control: control, at: .now)))
    self.reach = reach
    let state = Arc(Mutex(State()))
    self.state = state
    thread = try SocketThread(
      named: "massl-bulk", owning: socket, outboxCapacity: 64, tick: .milliseconds(200)
    ) { event, socket in
      func look() {
        if let words = reach.value.withLock({ $0.look(isConnected: socket.connected != nil, at: .now) }) {
          complain(words)
        }
      }
      look()
      func unanswered() -> BulkError { .unanswered(reach.value.withLock { $0.silence }) }
      switch event {
      case .received(.malformed(_, let error, _)): complain("\(error)")
      case .received(let received): Self.take(received, from: endpoint, state)
      case .undelivered(let outgoing, _):
        // No room, or no connection yet. It waits here, so that the chunks of a push keep their order; answers come in
        // meanwhile.
        let deadline = ContinuousClock.now + Self.patience
        while ContinuousClock.now < deadline, Self.isAwaited(outgoing.envelope.exchange, state) {
          if (try? socket.send(outgoing, timeout: .milliseconds(20))) == .sent {
            return Self.askAgain(as: sender, over: socket, state)
          }
          while let received = try? socket.receive(timeout: .zero) { Self.take(received, from: endpoint, state) }
          look()
        }
        guard let waiting = state.value.withLock({ $0.waiting.removeValue(forKey: outgoing.envelope.exchange) })
        else { return }
        _ = waiting.answers.tryAppend((waiting.index, .failure(unanswered())))
      case .tick:
        let now = ContinuousClock.now
        Self.fail(state, unanswered()) { $0.deadline < now }
        Self.askAgain(as: sender, over: socket, state)
      case .failed: Self.fail(state, .unanswered(nil))
      }
    }
  }

  /// To a shard or a worker, as a peer of its own: nothing waits behind what is asked for over another connection.
  /// - Parameters:
  ///   - sender: whose run and incarnation it speaks of.
  ///   - security: who we are; each address has a key of its own.
  package convenience init(
    to address: BulkAddress, in context: Context, of sender: Sender, security: Security<ClientKeys>
  ) throws {
    let asker = Sender(run: sender.run, incarnation: sender.incarnation, peer: .random())
    try self.init(
      context: context, sender: asker, endpoint: address.endpoint, security: security.towards(address))
  }

  /// Ends the thread; whoever waits for an answer gets an error.
  package func stop() {
    Self.fail(state, .unanswered(nil))
    thread.stop()
    Self.fail(state, .unanswered(nil))
  }

  /// What has a hash is held against it here: each connection has a thread, so many cores hash what many send.
  private static func take(_ received: Received, from endpoint: Endpoint, _ state: Arc<Mutex<State>>) {
    if case .disconnected = received { return connectionBroke(state) }
    guard case .message(let incoming) = received, case .bulkReply(let reply) = incoming.envelope.message,
      let waiting = state.value.withLock({ $0.waiting.removeValue(forKey: incoming.envelope.exchange) })
    else { return }
    var isRight = true
    if let hash = waiting.hash, let bulk = incoming.bulk { isRight = bulk.withBytes { ContentHash(of: $0) } == hash }
    let result: Result<Answer, BulkError> =
      isRight ? .success((reply, incoming.bulk)) : .failure(.otherBits("what was sent", from: endpoint))
    _ = waiting.answers.tryAppend((waiting.index, result))
  }

  /// Nothing that was sent over it will be answered.
  private static func connectionBroke(_ state: Arc<Mutex<State>>) {
    fail(state, .unanswered(nil)) { $0.request == nil }
    state.value.withLock { $0.unasked = $0.waiting.keys.sorted() }
  }

  /// Asks for what a broken connection left without an answer, as far as there is room.
  private static func askAgain(as sender: Sender, over socket: DealerSocket, _ state: Arc<Mutex<State>>) {
    while true {
      let next = state.value.withLock { state -> (UInt64, BulkRequest)? in
        while let exchange = state.unasked.first {
          if let request = state.waiting[exchange]?.request { return (exchange, request) }
          state.unasked.removeFirst()
        }
        return nil
      }
      guard let (exchange, request) = next else { return }
      let envelope = Envelope(sender: sender, message: .bulkRequest(request), exchange: exchange)
      guard (try? socket.send(Outgoing(envelope))) == .sent else { return }
      state.value.withLock { state in if state.unasked.first == exchange { state.unasked.removeFirst() } }
    }
  }

  private static func isAwaited(_ exchange: UInt64, _ state: Arc<Mutex<State>>) -> Bool {
    state.value.withLock { $0.waiting[exchange] != nil }
  }

  /// Ends the wait of those for which `isOver` holds.
  private static func fail(
    _ state: Arc<Mutex<State>>, _ error: BulkError, where isOver: (Waiting) -> Bool = { _ in true }
  ) {
    let ended = state.value.withLock { state in
      let ended = state.waiting.filter { isOver($0.value) }
      for exchange in ended.keys { state.waiting[exchange] = nil }
      return ended
    }
    for waiting in ended.values { _ = waiting.answers.tryAppend((waiting.index, .failure(error))) }
  }

  /// Whether an answer that was asked for so long ago cannot be expected, for want of a connection.
  func isHopeless(after waited: Duration) -> Bool { reach.value.withLock { $0.isHopeless(after: waited) } }

  /// Asks for all of it, a window at a time, and hands each answer over as it comes, so that only a window's frames are
  /// held.
  ///
  /// - Parameter take: called in this thread with the request's index, in any order.
  /// - Throws: `BulkError.unanswered`; `.refused` with the reason of whoever is asked; what `take` throws.
  package func ask(_ requests: [BulkRequest], take: (Int, BulkReply, BulkFrame?) throws -> Void) throws {
    let answers = Answers(capacity: WireLimits.requestsUnderWay)
    var sent = 0
    var received = 0
    while received < requests.count {
      while sent < requests.count, sent - received < WireLimits.requestsUnderWay {
        send(requests[sent], index: sent, to: answers)
        sent += 1
      }
      guard let (index, result) = answers.next() else { throw unanswered }
      let (reply, bulk) = try result.get()
      if case .unavailable(let reason) = reply { throw BulkError.refused(by: endpoint, reason: reason) }
      try take(index, reply, bulk)
      received += 1
    }
  }

  /// Asks for one thing.
  /// - Throws: `BulkError.unanswered`; `.refused` with the reason of whoever is asked.
  package func ask(_ request: BulkRequest) throws -> Answer {
    var answer: Answer?
    try ask([request]) { _, reply, bulk in answer = (reply, bulk) }
    guard let answer else { throw unanswered }
    return answer
  }

  /// Pushes a granted lease's payload, gradient first, as fast as the coordinator takes it.
  ///
  /// - Parameter keepsGradient: the tail alone.
  /// - Throws: `BulkError.unanswered`; `.refused` with the reason of whoever is asked, whichever chunk it refused. Then
  ///   libzmq may still read the buffers, so nobody may write them again.
  package func push(gradient: FloatBuffer, tail: FloatBuffer, lease: LeaseID, keepsGradient: Bool = false) throws {
    let answers = Answers(capacity: 1)
    // One number for all chunks: there is one answer, to the last one or to the first that is refused.
    let exchange = open(nil, index: 0, answers)
    defer { state.value.withLock { $0.waiting[exchange] = nil } }
    let chunks =
      (keepsGradient ? [] : Self.ranges(gradient.count).map { (gradient, $0, $0.lowerBound) })
      + Self.ranges(tail.count).map { (tail, $0, gradient.count + $0.lowerBound) }
    sending: for (buffer, range, offset) in chunks {
      let envelope = Envelope(
        sender: sender, message: .bulkRequest(.push(lease: lease, offset: offset)), exchange: exchange)
      // Once an answer is there, the rest need not be sent. A payload is larger than the outbox.
      while true {
        guard Self.isAwaited(exchange, state) else { break sending }
        if thread.send(Outgoing(envelope, bulk: .floats(buffer, range))) { break }
        usleep(1000)
      }
      state.value.withLock { $0.waiting[exchange]?.deadline = .now + Self.patience }
    }
    guard let (_, result) = answers.next() else { throw unanswered }
    switch try result.get().reply {
    case .pushed(lease): return
    case .unavailable(let reason): throw BulkError.refused(by: endpoint, reason: reason)
    default: throw BulkError.otherBits("the answer to a push", from: endpoint)
    }
  }

  /// Sends the sum of a chunk of a gradient; the answer, or that there is none, comes to the queue with the chunk as index.
  ///
  /// - Parameters:
  ///   - sum: sent from where it is, the first `count` floats: nobody may write it before libzmq let go of it.
  ///   - answers: has room for it: nobody waits to add to it.
  package func send(_ sum: FloatBuffer, count: Int, ofChunk chunk: Int, reduction: UInt64, to answers: Answers) {
    let exchange = open(nil, index: chunk, answers)
    let envelope = Envelope(
      sender: sender, message: .bulkRequest(.sum(reduction: reduction, chunk: chunk)), exchange: exchange)
    if !thread.send(Outgoing(envelope, bulk: .leading(sum, bytes: count * MemoryLayout<Float>.stride))) {
      state.value.withLock { $0.waiting[exchange] = nil }
      _ = answers.tryAppend((chunk, .failure(unanswered)))
    }
  }

  /// Chunks of at most 1 MiB, or of so many floats.
  static func ranges(_ count: Int, by length: Int = WireLimits.bulkFloats) -> [Range<Int>] {
    stride(from: 0, to: count, by: length).map { $0..<min(count, $0 + length) }
  }

  private func open(_ request: BulkRequest?, hash: ContentHash? = nil, index: Int, _ answers: Answers) -> UInt64 {
    state.value.withLock { state in
      defer { state.next += 1 }
      state.waiting[state.next] = Waiting(
        answers: answers, index: index, request: request, hash: hash, deadline: .now + Self.patience)
      return state.next
    }
  }

  /// Asks for one thing; the answer, or that there is none, comes to the queue with this index.
  ///
  /// - Parameters:
  ///   - hash: of the bytes that are right; others are `BulkError.otherBits`. Nil where the asker sees for itself.
  ///   - answers: has room for it: nobody waits to add to it.
  package func send(_ request: BulkRequest, hash: ContentHash? = nil, index: Int, to answers: Answers) {
    let exchange = open(request, hash: hash, index: index, answers)
    let envelope = Envelope(sender: sender, message: .bulkRequest(request), exchange: exchange)
    if !thread.send(Outgoing(envelope)) {
      state.value.withLock { $0.waiting[exchange] = nil }
      _ = answers.tryAppend((index, .failure(unanswered)))
    }
  }

  private var unanswered: BulkError { .unanswered(reach.value.withLock { $0.silence }) }
}
