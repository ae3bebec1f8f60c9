import Coordination
import Messages
import Numerics

/// A memory shard's process: the real machine, around it a disk, and a thread that copies.
struct SimulatedShard {
  let id: ShardID
  let host: String
  /// Bytes that it offers.
  let capacity: Int
  /// Its address: a shard with an empty directory may take over that of one whose disk is lost.
  let place: UInt64
  /// By extent, its rows.
  var disk: [Int: [UInt64]] = [:]
  /// Whose rows its directory is for.
  var run: RunIdentity?
  var isUp = false
  /// Drained, or its disk is lost: it never comes back.
  var isGone = false
  /// New at each start.
  var peer = PeerID(rawValue: 0)
  var machine: ShardMachine?
  /// To be copied, one after the other: the first is under way.
  var wanted: [AssignedExtent] = []
  /// Of the copy under way; those before it have ended, or are void.
  var copyNumber = 0
  var cutUntil: UInt64 = 0
  var slowUntil: UInt64 = 0
  /// Its disk has no room until then.
  var fullUntil: UInt64 = 0

  init(id: ShardID, host: String, capacity: Int, place: UInt64) {
    (self.id, self.host, self.capacity, self.place) = (id, host, capacity, place)
  }

  var address: BulkAddress { BulkAddress(endpoint: (try? Endpoint("tcp://\(host).\(place):7"))!) }

  mutating func start(as peer: PeerID, holding held: [Int: UInt64], at now: Instant) {
    (isUp, self.peer) = (true, peer)
    machine = ShardMachine(
      ShardMachine.Settings(
        name: host, shard: id, address: address, capacity: capacity, run: run, protocolVersion: 1, peer: peer,
        coordinator: "simulated", directory: "simulated"), holding: held, at: now)
    leave()
  }

  /// What is under way ends by itself, and nobody hears of it.
  mutating func leave() {
    wanted = []
    copyNumber += 1
  }
}
