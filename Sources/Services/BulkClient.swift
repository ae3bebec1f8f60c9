import Numerics
import Synchronization
import Wire

/// Asks the coordinator for bulk data, from any thread: requests go out together, answers come back in order.
///
/// Each request has a number that its reply repeats. What is not answered within `patience` has failed; the caller
/// gives its lease back, and the coordinator leases it anew.
final class BulkClient: Sendable {
  /// A reply with its frame.
  struct Answer: Sendable {
    var reply: BulkReply
    var bulk: BulkFrame?
  }

  /// Requests of one call that are under way at once: enough to hide a round trip, few enough to bound memory.
  static let window = 8
  /// Without an answer for so long the coordinator is taken for gone.
  static let patience = Duration.seconds(20)
  /// Floats in a chunk: 1 MiB.
  static let chunk = 262_144

  private struct Waiting: Sendable {
    var answers: BoundedQueue<(index: Int, result: Result<Answer, WorkerError>)>
    var index: Int
    var deadline: ContinuousClock.Instant
  }

  private struct State: Sendable {
    var next: UInt64 = 1
    var waiting: [UInt64: Waiting] = [:]
  }

  private let sender: Sender
  private let state: Arc<Mutex<State>>
  private let thread: SocketThread

  /// `Mutex` cannot be captured by itself.
  private final class Arc<Value: ~Copyable & Sendable>: Sendable {
    let value: Value
    init(_ value: consuming Value) { self.value = value }
  }

  init(context: Context, sender: Sender, endpoint: Endpoint, security: Security<ClientKeys>) throws {
    self.sender = sender
    let socket = try DealerSocket(
      in: context, as: sender.peer, connectingTo: endpoint, for: .bulk, security: security)
    let state = Arc(Mutex(State()))
    self.state = state
    thread = try SocketThread(
      named: "massl-bulk", owning: socket, outboxCapacity: 64, tick: .milliseconds(200)
    ) { event, _ in
      switch event {
      case .received(.message(let incoming)):
        guard case .bulkReply(let reply) = incoming.envelope.message,
          let waiting = state.value.withLock({ $0.waiting.removeValue(forKey: incoming.envelope.exchange) })
        else { return }
        _ = waiting.answers.tryAppend((waiting.index, .success(Answer(reply: reply, bulk: incoming.bulk))))
      case .received(.malformed): break
      case .undelivered(let outgoing, _):
        guard let waiting = state.value.withLock({ $0.waiting.removeValue(forKey: outgoing.envelope.exchange) })
        else { return }
        _ = waiting.answers.tryAppend((waiting.index, .failure(.bulkUnanswered)))
      case .tick:
        let now = ContinuousClock.now
        let late = state.value.withLock { state in
          let late = state.waiting.filter { $0.value.deadline < now }
          for exchange in late.keys { state.waiting[exchange] = nil }
          return late
        }
        for waiting in late.values { _ = waiting.answers.tryAppend((waiting.index, .failure(.bulkUnanswered))) }
      case .failed:
        let all = state.value.withLock { state in
          defer { state.waiting = [:] }
          return state.waiting
        }
        for waiting in all.values { _ = waiting.answers.tryAppend((waiting.index, .failure(.bulkUnanswered))) }
      }
    }
  }

  func stop() { thread.stop() }

  /// Asks for all of it, a window at a time.
  ///
  /// - Returns: the answers, in the order of the requests.
  /// - Throws: `WorkerError.bulkUnanswered`; `.refused` with the coordinator's reason.
  func ask(_ requests: [BulkRequest]) throws -> [Answer] {
    let answers = BoundedQueue<(index: Int, result: Result<Answer, WorkerError>)>(capacity: max(requests.count, 1))
    var found = [Answer?](repeating: nil, count: requests.count)
    var sent = 0
    var received = 0
    while received < requests.count {
      while sent < requests.count, sent - received < Self.window {
        send(requests[sent], bulk: nil, index: sent, to: answers)
        sent += 1
      }
      guard let (index, result) = answers.next() else { throw WorkerError.bulkUnanswered }
      let answer = try result.get()
      if case .unavailable(let reason) = answer.reply { throw WorkerError.refused(reason) }
      found[index] = answer
      received += 1
    }
    return found.compactMap(\.self)
  }

  /// Pushes a granted lease's payload, gradient first; only the last chunk is answered.
  func push(_ sum: SliceSumPayload, lease: LeaseID) throws {
    let answers = BoundedQueue<(index: Int, result: Result<Answer, WorkerError>)>(capacity: 4)
    let chunks =
      Self.ranges(sum.gradient.count).map { (sum.gradient, $0, $0.lowerBound) }
      + Self.ranges(sum.tail.count).map { (sum.tail, $0, sum.gradient.count + $0.lowerBound) }
    for (buffer, range, offset) in chunks.dropLast() {
      let envelope = Envelope(sender: sender, message: .bulkRequest(.push(lease: lease, offset: offset)))
      guard thread.send(Outgoing(envelope, bulk: .floats(buffer, range))) else { throw WorkerError.bulkUnanswered }
    }
    guard let (buffer, range, offset) = chunks.last else { return }
    send(.push(lease: lease, offset: offset), bulk: .floats(buffer, range), index: 0, to: answers)
    guard let (_, result) = answers.next() else { throw WorkerError.bulkUnanswered }
    if case .unavailable(let reason) = try result.get().reply { throw WorkerError.refused(reason) }
  }

  /// Chunks of at most 1 MiB.
  static func ranges(_ count: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: chunk).map { $0..<min(count, $0 + chunk) }
  }

  private func send(
    _ request: BulkRequest, bulk: Bulk?, index: Int,
    to answers: BoundedQueue<(index: Int, result: Result<Answer, WorkerError>)>
  ) {
    let exchange = state.value.withLock { state in
      defer { state.next += 1 }
      state.waiting[state.next] = Waiting(answers: answers, index: index, deadline: .now + Self.patience)
      return state.next
    }
    let envelope = Envelope(sender: sender, message: .bulkRequest(request), exchange: exchange)
    if !thread.send(Outgoing(envelope, bulk: bulk)) {
      state.value.withLock { $0.waiting[exchange] = nil }
      _ = answers.tryAppend((index, .failure(.bulkUnanswered)))
    }
  }
}

/// The two buffers of a lease's payload.
struct SliceSumPayload: Sendable {
  let gradient: FloatBuffer
  let tail: FloatBuffer
}
