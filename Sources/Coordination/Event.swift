import Numerics
import Wire

/// Nanoseconds of a monotonic clock that the process around the state machine reads.
public struct Instant: Hashable, Comparable, Sendable {
  public let nanoseconds: UInt64
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
  public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }
}

/// What happens to a coordinator.
public enum Event: Hashable, Sendable {
  /// A peer said something on the control socket; `sender` is as the peer claims, the socket has checked its routing id.
  case message(WorkerMessage, from: Sender)
  /// A peer sent bytes that are no message.
  case malformed(from: PeerID, reason: String)
  /// The whole payload of a granted lease has arrived and has the digest that was announced; or it came to nothing.
  case pushArrived(LeaseID, intact: Bool)
  /// The update of the running step is done: these are the next step's weights and memory.
  case updateFinished(Updated)
  /// A checkpoint of this step is durable, or failed for this reason.
  case checkpointFinished(step: Int, failure: String?)
  /// Time passes; at least every 100 ms.
  case tick
  /// SIGTERM, SIGINT: finish with a last checkpoint.
  case stopRequested
}

public struct Updated: Hashable, Sendable {
  /// The step that comes next, one above the one that was updated.
  public var step: Int
  public var student: Digest
  public var teacher: Digest
  public var rows: Int
  public var memoryFloor: Int

  public init(step: Int, student: Digest, teacher: Digest, rows: Int, memoryFloor: Int) {
    self.step = step
    self.student = student
    self.teacher = teacher
    self.rows = rows
    self.memoryFloor = memoryFloor
  }
}

/// What a coordinator does about it, in order.
public enum Effect: Hashable, Sendable {
  case send(CoordinatorMessage, to: PeerID)
  /// Make room for this lease's payload: chunks of it may arrive now.
  case expectPush(LeaseID, from: PeerID, Finished)
  /// Forget what has arrived of this lease's payload.
  case abandonPush(LeaseID)
  /// The payload of this lease counts: add it to the step's tree at this node.
  case accept(LeaseID, Finished)
  /// Every slice of the step is accepted: clip, optimize, average, enqueue.
  case startUpdate(step: Int)
  case writeCheckpoint(step: Int)
  /// All is said and durable: leave.
  case stop(StopReason)
  case log(LogLevel, String)
}

public enum LogLevel: Hashable, Sendable { case info, warning, error }

public enum StopReason: Hashable, Sendable {
  /// The last step is done and checkpointed.
  case finished
  /// Asked to; the last checkpoint is written.
  case requested
  /// This cannot go on; a sentence.
  case failed(String)
}
