import Messages

/// What happens to a memory shard.
public enum ShardEvent: Sendable {
  /// A coordinator said something on the control socket; `sender` is as it claims.
  case received(CoordinatorMessage, from: Sender)
  /// The connection was lost, or none stood, so that the last word never left.
  case connectionLost
  /// The control socket is of no use any more.
  case socketFailed(reason: String)
  /// The run that `.join` named was joined, and its incarnation stored durably: its rows are served, and extents are
  /// copied and removed.
  case joined
  /// It cannot be joined now, and may be later.
  case notJoined(reason: String)
  /// It cannot be joined.
  case couldNotJoin(reason: String)
  /// What became of an extent, whichever session it was begun in.
  case extent(ExtentProgress)
  /// Extents in which damage was found; those that were named before may be among them.
  case damaged(Set<Int>)
  /// Time passes; at least every half second.
  case tick
  /// The process met what it cannot go on with, as a directory that is no longer its own.
  case failed
  /// SIGTERM, SIGINT: leave, with what is held.
  case stopRequested
}

/// What became of an extent that was to be copied or removed.
public enum ExtentProgress: Hashable, Sendable {
  /// It is there, whole and durable, and whatever was there of it before is not.
  case held(HeldExtent)
  /// The disk has no room for it.
  case noRoom(Int, reason: String)
  /// No source gave it whole.
  case notCopied(Int, reason: String)
  /// It is not there any more.
  case removed(Int)
  case notRemoved(Int, reason: String)
}

/// What a memory shard does about it, in order.
public enum ShardEffect: Sendable {
  case say(ShardMessage, as: Sender)
  /// Make ready for a run, store that this incarnation of it is followed, and say `joined`, `notJoined` or `couldNotJoin`.
  case join(ShardWelcome, as: Sender)
  /// The session is over: copy nothing any more. Rows are served on.
  case leave
  /// Copy these extents, in this order, and no others; one that is under way and still named goes on. Say of each what
  /// became of it.
  case copy([AssignedExtent])
  /// Remove this extent, and say what became of it.
  case remove(Int)
  case log(LogLevel, String)
  /// All is said: leave.
  case stop(ShardEnding)
}

/// How a memory shard ends.
public enum ShardEnding: Hashable, Sendable {
  /// The run is over, or this shard was drained.
  case finished
  /// Asked to.
  case stopped
  /// Nobody answered for so long that the coordinator was given up.
  case silent
  /// The coordinator will not work with this shard, or this shard not in its run.
  case turnedAway(reason: String)
  case socketFailed(reason: String)
  /// For a reason that the process knows.
  case failed
}

/// What a shard's reports count, as the process around it has it.
public struct ShardFigures: Hashable, Sendable {
  /// Bytes of files.
  public var used: Int
  /// Since the process began.
  public var servedRows: Int
  public var servedBytes: Int

  public init(used: Int = 0, servedRows: Int = 0, servedBytes: Int = 0) {
    self.used = used
    self.servedRows = servedRows
    self.servedBytes = servedBytes
  }
}
