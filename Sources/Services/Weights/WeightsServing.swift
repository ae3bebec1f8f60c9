import Coordination
import Messages
import Numerics
import Slices
import Synchronization
import Wire

/// Answers on a worker's bulk socket, in that socket's thread, for other workers: chunks of the newest student, of its step's
/// new rows, and of gradients that it keeps.
///
/// A chunk that is on its way is waited for, so that whoever asks need not ask again.
package final class WeightsServing: Sendable {
  /// How long a request may wait for its chunk: then its asker has gone elsewhere.
  private static let patience = Duration.seconds(30)
  /// Requests of one peer that wait: more than it asks for at a time.
  private static let requestsAPeer = 4 * WireLimits.requestsUnderWay
  /// Between two looks for chunks that have come.
  package static let tick = Duration.milliseconds(5)

  private struct Waiting: Sendable {
    let request: Incoming
    let until: ContinuousClock.Instant
  }

  /// The thread's own; the lock is never waited for.
  private struct State: Sendable {
    var outgoing: BoundedReplies
    /// For chunks that are on their way, in the order of asking.
    var waiting: [Waiting] = []
    var waitingOfPeer: [PeerID: Int] = [:]
  }

  private let sender: Sender
  private let shelf: WeightsShelf
  private let gradients: KeptGradients
  private let log: ServiceLog
  private let state: Mutex<State>

  /// - Parameter sender: whose run and incarnation a request must name.
  package init(
    sender: Sender, shelf: WeightsShelf, gradients: KeptGradients = KeptGradients(), log: @escaping ServiceLog
  ) {
    self.sender = sender
    self.shelf = shelf
    self.gradients = gradients
    self.log = log
    state = Mutex(State(outgoing: BoundedReplies(frames: WireLimits.weightFramesAnswered, log: log)))
  }

  /// For `SocketThread`.
  package func handle(_ event: SocketEvent, _ socket: RouterSocket) {
    state.withLock { state in
      switch event {
      case .received(.message(let incoming)): take(incoming, &state, socket)
      case .received(.malformed(let peer, let error, let exchange)):
        state.outgoing.complain(of: peer, error)
        if let peer {
          let reply = Outgoing(unavailable: "\(error)", exchange: exchange, to: peer, from: sender)
          state.outgoing.send(reply, nil, on: socket)
        }
      case .received(.disconnected(let peer)): if let peer { forget(peer, &state) }
      case .undelivered: break
      case .tick:
        state.outgoing.tick(on: socket)
        // Not with each message: with thousands of requests that wait each would cost a look at all others.
        lookAgain(&state, socket)
      case .failed(let error): if error != .closed { log(.error, "The socket that gives weights failed: \(error)") }
      }
      let end = ContinuousClock.now + BoundedReplies.attention
      while ContinuousClock.now < end, let (request, frame) = state.outgoing.next(on: socket) {
        state.outgoing.send(answer(request, into: frame), frame, on: socket)
      }
    }
  }

  private func take(_ request: Incoming, _ state: inout State, _ socket: RouterSocket) {
    guard case .coming = chunk(for: request) else { return answerInTurn(request, &state, socket) }
    let count = state.waitingOfPeer[request.peer] ?? 0
    guard count < Self.requestsAPeer, state.waiting.count < WireLimits.weightRequestsWaiting else {
      return state.outgoing.send(unavailable(BoundedReplies.tooManyRequests, request), nil, on: socket)
    }
    state.waitingOfPeer[request.peer] = count + 1
    state.waiting.append(Waiting(request: request, until: .now + Self.patience))
  }

  private func answerInTurn(_ request: Incoming, _ state: inout State, _ socket: RouterSocket) {
    guard let refused = state.outgoing.add(request) else { return }
    state.outgoing.send(unavailable(BoundedReplies.tooManyRequests, refused), nil, on: socket)
  }

  /// What has come since, or will not come any more, has its turn.
  private func lookAgain(_ state: inout State, _ socket: RouterSocket) {
    guard !state.waiting.isEmpty else { return }
    let now = ContinuousClock.now
    let all = state.waiting
    state.waiting = []
    for waiting in all {
      if case .coming = chunk(for: waiting.request), now < waiting.until {
        state.waiting.append(waiting)
      } else {
        release(waiting.request.peer, &state)
        answerInTurn(waiting.request, &state, socket)
      }
    }
  }

  private func release(_ peer: PeerID, _ state: inout State) {
    let left = (state.waitingOfPeer[peer] ?? 1) - 1
    state.waitingOfPeer[peer] = left > 0 ? left : nil
  }

  private func forget(_ peer: PeerID, _ state: inout State) {
    state.waiting.removeAll { $0.request.peer == peer }
    state.waitingOfPeer[peer] = nil
  }
}

// MARK: - Answers

extension WeightsServing {
  private static let otherRun = "this worker is of another run, or of another start of its coordinator"

  private func isOfThisRun(_ request: Incoming) -> Bool {
    let claimed = request.envelope.sender
    return claimed.run == sender.run && claimed.incarnation == sender.incarnation
  }

  private func chunk(for request: Incoming) -> WeightsShelf.Chunk {
    guard case .bulkRequest(.weights(let network, let step, let offset, let count)) = request.envelope.message,
      network == .student || network == .newRows
    else {
      return .absent(
        reason: "a worker gives chunks of the student's weights and of new rows, nothing else: ask the coordinator")
    }
    guard isOfThisRun(request) else { return .absent(reason: Self.otherRun) }
    return shelf.chunk(of: network, ofStep: step, offset: offset, count: count)
  }

  private func answer(_ request: Incoming, into frame: FloatBuffer) -> Outgoing {
    if let answer = gradientAnswer(request, into: frame) { return answer }
    switch chunk(for: request) {
    case .absent(let reason): return unavailable(reason, request)
    case .coming: return unavailable("the weights did not come in time", request)
    case .here(let weights):
      guard case .bulkRequest(.weights(let network, let step, let offset, let count)) = request.envelope.message else {
        fatalError("invariant broken: a chunk for who did not ask for one")
      }
      return Outgoing(
        .weights(network: network, step: step, offset: offset),
        bulk: weights.copied(offset..<(offset + count), into: frame), to: request, from: sender)
    }
  }

  /// Nil for who asks for something else.
  private func gradientAnswer(_ request: Incoming, into frame: FloatBuffer) -> Outgoing? {
    let (step, slices, chunk): (Int, SliceRange, Int?)
    switch request.envelope.message {
    case .bulkRequest(.gradientHashes(let asked, let node)): (step, slices, chunk) = (asked, node, nil)
    case .bulkRequest(.gradient(let name)): (step, slices, chunk) = (name.step, name.slices, name.chunk)
    default: return nil
    }
    guard isOfThisRun(request) else { return unavailable(Self.otherRun, request) }
    guard let gradient = gradients.gradient(ofStep: step, slices: slices) else {
      return unavailable("the gradient of slices from \(slices.first) on of step \(step) is not here", request)
    }
    guard let chunk else {
      return Outgoing(
        .gradientHashes(step: step, slices: slices), bulk: gradient.hashes.copied(into: frame), to: request,
        from: sender)
    }
    guard chunk < gradient.hashes.count else {
      return unavailable("chunk \(chunk) of a gradient of \(gradient.hashes.count)", request)
    }
    return Outgoing(
      .gradient(GradientChunk(step: step, slices: slices, chunk: chunk)),
      bulk: gradient.floats.copied(GradientChunk.floats(of: chunk, in: gradient.floats.count), into: frame),
      to: request,
      from: sender)
  }

  private func unavailable(_ reason: String, _ request: Incoming) -> Outgoing {
    Outgoing(.unavailable(reason: reason), to: request, from: sender)
  }
}
