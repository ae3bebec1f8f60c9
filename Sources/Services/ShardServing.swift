import Coordination
import MemoryBank
import Numerics
import Synchronization
import Wire

/// Answers on a shard's bulk socket, in that socket's thread: rows for workers, records for shards that copy.
///
/// Frames are read into a fixed number of buffers, each held until libzmq has sent it: however many workers ask and do
/// not read, a shard's memory is bounded. Requests that find no free buffer wait, few of them; beyond those the answer
/// is to ask again.
package final class ShardServing: Sendable {
  /// Frames on their way out: 256 MiB, enough for a 25 Gbit/s link over 80 ms.
  package static let framesAtMost = 256
  /// Requests that wait for a buffer: each some kilobytes.
  static let requestsWaitingAtMost = 4096

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
  private let state = Mutex(State())

  /// The thread's own but for the counts; the lock is never waited for long.
  private struct State: Sendable {
    var frames = FramePool(count: RowAnswers.bufferFloats, atMost: ShardServing.framesAtMost)
    var requests: [Incoming] = []
    /// Answers that found the asker's queue full.
    var waiting: [Outgoing] = []
    var counts = Counts()
    var hasFoundDamage = false
  }

  package init(sender: Sender, answers: RowAnswers, log: @escaping ServiceLog, damaged: @escaping @Sendable () -> Void)
  {
    self.sender = sender
    self.answers = answers
    self.log = log
    self.damaged = damaged
  }

  var counts: Counts { state.withLock { $0.counts } }

  /// For `SocketThread`.
  package func handle(_ event: SocketEvent, _ socket: RouterSocket) {
    let hasFoundDamage = state.withLock { state in
      state.waiting = state.waiting.filter { (try? socket.send($0)) == .noRoom }
      if case .received(.message(let incoming)) = event {
        if state.requests.count < Self.requestsWaitingAtMost {
          state.requests.append(incoming)
        } else {
          send(unavailable("too many requests wait; ask again", incoming), &state, socket)
        }
      }
      serve(&state, socket)
      defer { state.hasFoundDamage = false }
      return state.hasFoundDamage
    }
    // Without the lock, for who hears of it asks for the counts.
    if hasFoundDamage { damaged() }
    switch event {
    case .received(.malformed(_, let error)): log(.warning, "\(error)")
    case .failed(let error): if error != .closed { log(.error, "The bulk socket failed: \(error)") }
    case .received, .undelivered, .tick: break
    }
  }

  private func serve(_ state: inout State, _ socket: RouterSocket) {
    var served = 0
    // An asker whose queue is full has its answer held here: no more are read meanwhile.
    while served < state.requests.count, state.waiting.count < Self.framesAtMost / 2,
      let frame = state.frames.take()
    {
      let request = state.requests[served]
      served += 1
      send(answer(request, into: frame, &state), &state, socket)
    }
    state.requests.removeFirst(served)
  }

  private func send(_ reply: Outgoing, _ state: inout State, _ socket: RouterSocket) {
    // Who asks more than it reads loses answers, and asks again.
    guard (try? socket.send(reply)) == .noRoom, state.waiting.count < Self.framesAtMost else { return }
    state.waiting.append(reply)
  }

  private func answer(_ incoming: Incoming, into frame: FloatBuffer, _ state: inout State) -> Outgoing {
    guard case .bulkRequest(let request) = incoming.envelope.message, incoming.envelope.sender.run == sender.run else {
      return unavailable("this is a memory shard of another run, or was asked for what it does not have", incoming)
    }
    do {
      let (reply, bulk): (BulkReply, Bulk)
      switch request {
      case .rows(let step, let rows, let floor, let block, let first, let count, let missing):
        (reply, bulk) = try answers.rows(
          step: step, rows: rows, floor: floor, block: block, first: first, count: count, missing: missing,
          into: frame)
        state.counts.rows += missing.reduce(0) { $0 + $1.nonzeroBitCount }
      case .records(let extent, let first, let count):
        (reply, bulk) = try answers.records(extent: extent, first: first, count: count, into: frame)
      case .weights, .picture, .push, .holders:
        return unavailable("a memory shard has rows, nothing else: ask the coordinator", incoming)
      }
      state.counts.bytes += bulk.count
      return Outgoing(
        Envelope(sender: sender, message: .bulkReply(reply), exchange: incoming.envelope.exchange), bulk: bulk,
        to: incoming.peer)
    } catch let unavailable as RowAnswers.Unavailable {
      return self.unavailable(unavailable.reason, incoming)
    } catch MemoryBankError.extentNotHeld(_, let row) {
      // Not yet, or not any more: the asker's table is not the newest.
      return unavailable("row \(row) is not here", incoming)
    } catch {
      log(.error, "\(error)")
      state.hasFoundDamage = true
      return unavailable("\(error)", incoming)
    }
  }

  private func unavailable(_ reason: String, _ incoming: Incoming) -> Outgoing {
    Outgoing(
      Envelope(
        sender: sender, message: .bulkReply(.unavailable(reason: reason)), exchange: incoming.envelope.exchange),
      to: incoming.peer)
  }
}

/// So many buffers of one size, and no more.
struct FramePool: Sendable {
  private let count: Int
  private let atMost: Int
  private var buffers: [FloatBuffer] = []
  private var next = 0

  /// - Parameter count: floats in each.
  init(count: Int, atMost: Int) {
    self.count = count
    self.atMost = atMost
  }

  /// A buffer that nobody else holds, with anything in it; nil while all are held.
  mutating func take() -> FloatBuffer? {
    // Frames are sent in order, so the one after the last taken is the first to be free.
    for _ in buffers.indices {
      let index = next % buffers.count
      next += 1
      if isKnownUniquelyReferenced(&buffers[index]) {
        atomicMemoryFence(ordering: .acquiring)
        return buffers[index]
      }
    }
    guard buffers.count < atMost else { return nil }
    let buffer = FloatBuffer(count: count)
    buffers.append(buffer)
    return buffer
  }
}
