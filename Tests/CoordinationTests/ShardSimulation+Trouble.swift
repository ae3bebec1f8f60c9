import Coordination
import Messages
import TestSupport

/// What is done to the processes, each second.
extension ShardSimulation {
  mutating func makeTrouble() {
    for index in shards.indices where !shards[index].isGone {
      if random.chance(faults.crash) { crashShard(index) }
      if random.chance(faults.partition) {
        note("partitions")
        shards[index].cutUntil = time + random.next(below: 50 * Self.second)
      }
      if random.chance(faults.slow) { shards[index].slowUntil = time + random.next(below: 60 * Self.second) }
      if random.chance(faults.fullDisk) { shards[index].fullUntil = time + random.next(below: 60 * Self.second) }
    }
    if random.chance(faults.coordinatorCrash) { crashCoordinator() }
    let living = shards.indices.filter { !shards[$0].isGone }
    if random.chance(faults.addition), living.count < 8 {
      note("additions")
      addShard()
    }
    guard let victim = living.randomElement(using: &random) else { return }
    if random.chance(faults.drain) {
      tell(.message(.drainRequest(shard: shards[victim].id.description), from: sender(Self.worker)))
    }
    if random.chance(faults.drain / 2), let other = living.randomElement(using: &random) {
      tell(.message(.stayRequest(shard: shards[other].id.description), from: sender(Self.worker)))
    }
    guard damages < memory.replicas - 1, random.chance(faults.damage) else { return }
    damages += 1
    if random.chance(0.5) {
      note("lostDisks")
      shards[victim].isUp = false
      shards[victim].isGone = true
      addShard(inPlaceOf: random.chance(0.5) ? shards[victim] : nil)
    } else if shards[victim].isUp, let extent = shards[victim].disk.keys.sorted().randomElement(using: &random) {
      note("damages")
      shards[victim].disk[extent] = nil
      tell(.damaged([extent]), shard: victim)
    }
  }
}
