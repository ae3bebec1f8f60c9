import Coordination
import Messages
import Numerics
import Slices
import TestSupport

/// A worker without a fault, whose results depend on every row of the memory.
extension ShardSimulation {
  func sender(_ peer: PeerID) -> Sender { Sender(run: Self.run, incarnation: incarnation, peer: peer) }

  mutating func say(_ message: WorkerMessage, _ peer: PeerID) {
    schedule(.toCoordinator(.message(message, from: sender(peer)), incarnation), in: 1_000_000)
  }

  mutating func workerBeats(_ peer: PeerID) {
    guard !workerIsGone else { return }
    guard workerIsWelcome else {
      return say(.hello(Hello(protocolVersion: 1, name: "worker", threads: 1, probe: Self.probe)), peer)
    }
    say(.ready(Ready(idleThreads: results.isEmpty ? 1 : 0, held: results.keys.sorted())), peer)
  }

  mutating func worker(hears message: CoordinatorMessage, as peer: PeerID) {
    switch message {
    case .welcome:
      workerIsWelcome = true
      say(.ready(Ready(idleThreads: 1, held: [])), peer)
    case .lease(let lease):
      results[lease.lease] = Self.probe
      schedule(.computed(lease, peer), in: Self.second / 10 + random.next(below: Self.second))
    case .grant(let lease): schedule(.toCoordinator(.pushArrived(lease, .whole), incarnation), in: 1_000_000)
    case .cancel(let lease): results[lease] = nil
    case .refusal(let refusal): fail("the worker was refused: \(refusal.text)")
    case .finished:
      workerIsGone = true
      say(.goodbye, peer)
    case .heartbeat, .status, .shardWelcome, .assignment, .memory, .drain: break
    }
  }

  /// Reads every row of the step's memory from whoever the table names.
  mutating func compute(_ lease: Lease, _ peer: PeerID) {
    var result = Self.mixed(version.student, UInt64(lease.step))
    for row in max(0, lease.rows - memory.size)..<lease.rows {
      guard let content = read(row) else {
        note("waits")
        results[lease.lease] = nil
        return say(.returned(Returned(lease: lease.lease, reason: "row \(row) is away", isPassing: true)), peer)
      }
      result = Self.mixed(result, content)
    }
    results[lease.lease] = result
    say(
      .finished(
        Finished(
          lease: lease.lease, step: lease.step, slices: lease.slices, payload: result, payloadCount: 2,
          losses: [SliceLoss(consistency: 1, koleo: 0, targetEntropy: 1)], undecodable: [])), peer)
  }

  mutating func read(_ row: Int) -> UInt64? {
    guard let machine else { return nil }
    let extent = row / memory.rowsPerExtent
    let table = machine.holders(first: extent, count: 1)
    let holders = table.holders.first ?? []
    guard !holders.isEmpty else { return disk.rows[row] }
    for holder in holders {
      guard let index = shards.firstIndex(where: { !$0.isGone && $0.address == table.shards[holder] })
      else { continue }
      let shard = shards[index]
      // Another one may be there by now, which has other extents.
      guard shard.isUp, shard.cutUntil <= time, let rows = shard.disk[extent] else { continue }
      let content = rows[row - self.rows(of: extent).lowerBound]
      if Self.mixed(chain[row], content) != chain[row + 1] { fail("row \(row) is another one on \(shard.id)") }
      return content
    }
    return nil
  }
}
