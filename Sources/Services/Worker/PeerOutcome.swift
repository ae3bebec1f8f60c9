/// How the work of a process that has a coordinator ended: a worker's, or a memory shard's.
public enum PeerOutcome: Sendable, Equatable {
  /// The run is over, or this shard was drained.
  case finished
  /// It was asked to stop.
  case stopped
  /// Nobody answered for so long that the coordinator was given up: it may be elsewhere.
  case silent
}
