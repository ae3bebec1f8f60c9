import Durability
import MemoryBank
import Messages
import Numerics
import Runs
import TestSupport
import Testing

@Suite("A memory shard's directory remembers whose rows it has and whom it followed") struct ShardDirectoryTests {
  private static let layout = ExtentLayout(run: Digest(high: 1, low: 2), width: 4, capacity: 3, rowType: .fp32)

  @Test func whoWasFollowedIsKnownToTheNextProcess() throws {
    let storage = SimulatedStorage()
    let first = try ShardDirectory("shard", in: storage)
    #expect(first.incarnation == Incarnation(0) && first.layout == nil)
    try first.adopt(Self.layout, following: Incarnation(3))
    try first.adopt(Self.layout, following: Incarnation(7))
    first.release()
    let second = try ShardDirectory("shard", in: storage)
    #expect(second.incarnation == Incarnation(7) && second.layout == Self.layout && second.shard == first.shard)
  }

  /// Whenever power fails, one of both is there, and the newer one from the end of the call on.
  @Test func aPowerCutLeavesTheOneOrTheOther() throws {
    var seen: Set<UInt64> = []
    for seed in 0..<8 as Range<UInt64> {
      for call in 0..<12 {
        let storage = SimulatedStorage()
        try ShardDirectory("shard", in: storage).adopt(Self.layout, following: Incarnation(3))
        storage.restart()
        let directory = try ShardDirectory("shard", in: storage)
        storage.cutPower(after: call)
        let isDone = (try? directory.adopt(Self.layout, following: Incarnation(4))) != nil
        storage.restart(cuttingPower: seed)
        let found = try ShardDirectory("shard", in: storage)
        #expect(found.layout == Self.layout && found.shard == directory.shard, "call \(call), seed \(seed)")
        #expect(found.incarnation == Incarnation(4) || !isDone && found.incarnation == Incarnation(3))
        seen.insert(found.incarnation.number)
      }
    }
    #expect(seen == [3, 4])
  }

  @Test func whoLostTheDirectoryWritesNothingThere() throws {
    let storage = SimulatedStorage()
    let old = try ShardDirectory("shard", in: storage)
    try old.adopt(Self.layout, following: Incarnation(3))
    storage.breakLock("shard/shard.lock")
    let new = try ShardDirectory("shard", in: storage)
    #expect(throws: DurabilityError.self) { try old.adopt(Self.layout, following: Incarnation(2)) }
    new.release()
    #expect(try ShardDirectory("shard", in: storage).incarnation == Incarnation(3))
  }
}
