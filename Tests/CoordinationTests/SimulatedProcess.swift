import Coordination
import Messages

/// What worker processes and memory shards' have in common: lives, a line to the coordinator, and what is done to both.
struct SimulatedProcess {
  /// Counts its starts: what was scheduled for an earlier life is void.
  var life = 0
  var isUp = false
  /// Nobody starts it again.
  var isGone = false
  /// Of its own choosing, new at each start.
  var peer = PeerID(rawValue: 0)
  /// A coordinator has said something to it in this life.
  var wasAnswered = false
  /// SIGSTOP until then.
  var stoppedUntil: UInt64 = 0
  /// Nothing gets through to it, or from it, until then.
  var cutTo: UInt64 = 0
  var cutFrom: UInt64 = 0

  mutating func start(as peer: PeerID) {
    life += 1
    (isUp, self.peer, wasAnswered) = (true, peer, false)
  }

  /// Whether a request is answered at once.
  func answers(at time: UInt64) -> Bool { isUp && max(stoppedUntil, cutTo, cutFrom) <= time }
}

/// A process that speaks with the coordinator.
enum Party: Hashable {
  case worker(Int)
  case shard(Int)
}

extension Simulation {
  subscript(party: Party) -> SimulatedProcess {
    get {
      switch party {
      case .worker(let index): workers[index].process
      case .shard(let index): shards[index].process
      }
    }
    _modify {
      switch party {
      case .worker(let index): yield &workers[index].process
      case .shard(let index): yield &shards[index].process
      }
    }
  }

  /// All workers, then all shards.
  var parties: [Party] { workers.indices.map { .worker($0) } + shards.indices.map { .shard($0) } }

  mutating func start(_ party: Party) {
    guard !self[party].isGone, !self[party].isUp else { return }
    let peer = PeerID(rawValue: random.next())
    partyOfPeer[peer] = party
    self[party].start(as: peer)
    switch party {
    case .worker(let index): workers[index].start(at: Instant(nanoseconds: time))
    case .shard(let index): startShard(index)
    }
    schedule(.beats(party, life: self[party].life), in: 0)
  }

  mutating func beat(_ party: Party) {
    schedule(.beats(party, life: self[party].life), in: Self.second)
    switch party {
    case .worker(let index): beat(worker: index)
    case .shard(let index): beat(shard: index)
    }
  }

  /// The end of a connection is told before or after what was said last.
  mutating func disconnect(_ party: Party) {
    schedule(.disconnected(self[party].peer), in: random.next(below: Self.second / 50))
  }

  mutating func connectionLost(_ party: Party) {
    switch party {
    case .worker(let index): tell(.connectionLost, worker: index)
    case .shard(let index): tell(.connectionLost, shard: index)
    }
  }
}
