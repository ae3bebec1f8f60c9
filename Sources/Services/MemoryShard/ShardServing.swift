import Coordination
import MemoryBank
import Messages
import Numerics
import Synchronization
import Wire

/// Answers on a shard's bulk socket, in that socket's thread: rows for workers, records for shards that copy.
package final class ShardServing: Sendable {
  /// Since the process began.
  struct Counts: Sendable {
    var rows = 0
    var bytes = 0
  }

  private let sender: Sender
  private let answers: RowAnswers
  private let log: ServiceLog
  /// Called when damage was found; the store knows where.
  private let damaged: @Sendable () -> Void
  private let state: Mutex<State>

  /// The thread's own but for the counts; the lock is never waited for long.
  private struct State: Sendable {
    var outgoing: BoundedReplies
    var counts = Counts()
    var hasFoundDamage = false
  }

  package init(sender: Sender, answers: RowAnswers, log: @escaping ServiceLog, damaged: @escaping @Sendable () -> Void)
  {
    self.sender = sender
    self.answers = answers
    self.log = log
    self.damaged = damaged
    state = Mutex(State(outgoing: BoundedReplies(log: log)))
  }

  var counts: Counts { state.withLock { $0.counts } }

  /// For `SocketThread`.
  package func handle(_ event: SocketEvent, _ socket: RouterSocket) {
    let hasFoundDamage = state.withLock { state in
      if case .received(.message(let incoming)) = event, let refused = state.outgoing.add(incoming) {
        state.outgoing.send(unavailable(BoundedReplies.tooManyRequests, refused), nil, on: socket)
      }
      if case .received(.malformed(let peer, let error, let exchange)) = event {
        state.outgoing.complain(of: peer, error)
        if let peer {
          let reply = Outgoing(unavailable: "\(error)", exchange: exchange, to: peer, from: sender)
          state.outgoing.send(reply, nil, on: socket)
        }
      }
      if case .tick = event { state.outgoing.tick(on: socket) }
      let end = ContinuousClock.now + BoundedReplies.attention
      while ContinuousClock.now < end, let (request, frame) = state.outgoing.next(on: socket) {
        state.outgoing.send(answer(request, into: frame, &state), frame, on: socket)
      }
      defer { state.hasFoundDamage = false }
      return state.hasFoundDamage
    }
    // Without the lock, for who hears of it asks for the counts.
    if hasFoundDamage { damaged() }
    switch event {
    case .failed(let error): if error != .closed { log(.error, "The bulk socket failed: \(error)") }
    case .received, .undelivered, .tick: break
    }
  }

  private func answer(_ incoming: Incoming, into frame: FloatBuffer, _ state: inout State) -> Outgoing {
    guard case .bulkRequest(let request) = incoming.envelope.message, incoming.envelope.sender.run == sender.run else {
      return unavailable("this is a memory shard of another run, or was asked for what it does not have", incoming)
    }
    do {
      let (reply, bulk): (BulkReply, Bulk)
      switch request {
      case .rows(let rows):
        (reply, bulk) = try answers.rows(rows, into: frame)
        state.counts.rows += rows.rows
      case .records(let extent, let first, let count):
        (reply, bulk) = try answers.records(extent: extent, first: first, count: count, into: frame)
      case .weights, .picture, .push, .holders, .weightSources, .gradientHashes, .gradient, .sum:
        return unavailable("a memory shard has rows, nothing else: ask the coordinator", incoming)
      }
      state.counts.bytes += bulk.count
      return Outgoing(reply, bulk: bulk, to: incoming, from: sender)
    } catch let unavailable as RowAnswers.Unavailable {
      return self.unavailable(unavailable.reason, incoming)
    } catch {
      log(.error, "\(error)")
      state.hasFoundDamage = true
      return unavailable("\(error)", incoming)
    }
  }

  private func unavailable(_ reason: String, _ incoming: Incoming) -> Outgoing {
    Outgoing(.unavailable(reason: reason), to: incoming, from: sender)
  }
}
