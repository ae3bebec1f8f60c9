import Numerics
import Synchronization
import Threads

/// What happens on a `SocketThread`, in its own thread.
public enum SocketEvent: Sendable {
  case received(Received)
  /// A message of the outbox could not be sent, and was dropped.
  case undelivered(Outgoing, SendOutcome)
  /// At least once every tick.
  case tick
  /// The socket is of no use any more; the thread ends after this.
  case failed(WireError)
}

/// A thread that owns a socket: receives, and sends what other threads leave in its outbox.
public final class SocketThread: Sendable {
  private let outbox: BoundedQueue<Outgoing>
  private let waker: Waker
  private let stopping = Atomic<Bool>(false)
  private let ended = BoundedQueue<Bool>(capacity: 1)

  /// - Parameters:
  ///   - socket: used by nobody else from now on.
  ///   - outboxCapacity: messages that may wait to be sent.
  ///   - tick: the longest time between two calls of `handle`.
  ///   - handle: called in the socket's thread, with the socket for immediate answers; while it runs nothing is
  ///     received.
  public init<Socket: MessageSocket>(
    named name: String, owning socket: Socket, outboxCapacity: Int, tick: Duration,
    handle: @escaping @Sendable (SocketEvent, Socket) -> Void
  ) throws(WireError) {
    outbox = BoundedQueue(capacity: outboxCapacity)
    waker = try Waker()
    startThread(named: name) { [self] in
      run(socket, tick: tick, handle: handle)
      outbox.close()
      ended.close()
    }
  }

  private func run<Socket: MessageSocket>(
    _ socket: Socket, tick: Duration, handle: (SocketEvent, Socket) -> Void
  ) {
    var nextTick = ContinuousClock.now + tick
    do throws(WireError) {
      while true {
        // Read before the outbox is emptied: what was left before stop() still goes out.
        let isLast = stopping.load(ordering: .acquiring)
        waker.reset()
        while let outgoing = outbox.tryNext() {
          let outcome = try socket.send(outgoing)
          if outcome != .sent { handle(.undelivered(outgoing, outcome), socket) }
        }
        if isLast { return }
        if let received = try socket.receive(timeout: max(.zero, nextTick - .now), waker: waker) {
          handle(.received(received), socket)
        }
        if ContinuousClock.now >= nextTick {
          handle(.tick, socket)
          nextTick = .now + tick
        }
      }
    } catch {
      handle(.failed(error), socket)
    }
  }

  /// Leaves a message to be sent; from any thread but the socket's own, which sends by itself.
  /// - Returns: false when the outbox is full or the thread has ended: the message was dropped.
  public func send(_ outgoing: Outgoing) -> Bool {
    guard outbox.tryAppend(outgoing) else { return false }
    waker.wake()
    return true
  }

  /// Sends what is in the outbox, then ends the thread, and waits until it has ended.
  public func stop() {
    stopping.store(true, ordering: .releasing)
    waker.wake()
    _ = ended.next()
  }
}
