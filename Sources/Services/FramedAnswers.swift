import Numerics
import Wire

/// Answers on their way out of a bulk socket, and the requests that wait for a frame: of bounded size, however many peers
/// ask and do not read. Belongs to the socket's thread.
///
/// Rows are read into a fixed number of frames, each held until libzmq has sent it. Requests that find no free frame wait,
/// few of them. Who asks more than it reads loses answers, and asks again.
package struct FramedAnswers: Sendable {
  /// Frames on their way out: 256 MiB, enough for a 25 Gbit/s link over 80 ms. Also answers that found the asker's queue
  /// full: those beyond are dropped.
  package static let framesAtMost = 256
  /// Requests that wait for a frame: each some kilobytes.
  private static let requestsAtMost = 4096

  private var frames = FramePool(count: RowAnswers.bufferFloats, atMost: framesAtMost)
  private var requests: [Incoming] = []
  /// Of the requests, those that have had their frame.
  private var served = 0
  private var waiting: [Outgoing] = []

  /// Has a request wait for a frame.
  /// - Returns: false if too many do.
  mutating func add(_ request: Incoming) -> Bool {
    guard requests.count < Self.requestsAtMost else { return false }
    requests.append(request)
    return true
  }

  /// The request that waited longest, and a frame for its answer; nil while there is none, or while so many answers found
  /// the asker's queue full that no more should be made.
  mutating func next() -> (request: Incoming, frame: FloatBuffer)? {
    guard served < requests.count, waiting.count < Self.framesAtMost / 2, let frame = frames.take() else {
      requests.removeFirst(served)
      served = 0
      return nil
    }
    served += 1
    return (requests[served - 1], frame)
  }

  /// Sends an answer, or keeps it for later. A peer that left needs none; a failing socket shows when it receives.
  mutating func send(_ reply: Outgoing, on socket: RouterSocket) {
    guard (try? socket.send(reply)) == .noRoom, waiting.count < Self.framesAtMost else { return }
    waiting.append(reply)
  }

  /// Tries again what found the asker's queue full.
  mutating func sendWaiting(on socket: RouterSocket) {
    guard !waiting.isEmpty else { return }
    waiting = waiting.filter { (try? socket.send($0)) == .noRoom }
  }
}
