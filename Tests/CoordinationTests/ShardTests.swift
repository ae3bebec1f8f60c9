import Coordination
import Messages
import Numerics
import Testing

@Suite("Each extent is held by as many shards as it should be, and let go by nobody before") struct ShardTests {
  @Test func copiesGoToOtherHostsFirst() throws {
    var script = ShardScript(replicas: 2)
    try script.join(1, host: "a")
    try script.join(2, host: "a")
    try script.join(3, host: "b")
    let effects = try script.handle(.extentSealed(ShardScript.extent(0)))
    #expect([1, 2, 3].map { effects.pulls($0) } == [[0], [], [0]])
    #expect(effects.assignment(of: 3)?.extents.first?.sources == [.coordinator])
  }

  @Test func theEmptiestTakesTheNext() throws {
    var script = ShardScript()
    try script.join(1, capacity: 100)
    try script.join(2, capacity: 1000)
    for index in 0..<3 { try script.handle(.extentSealed(ShardScript.extent(index))) }
    let effects = try script.pass(1, 2)
    #expect([1, 2].map { effects.pulls($0) } == [[0], [1, 2]])
  }

  @Test func aShardPullsAFewAtATimeAndNeverMoreThanItOffers() throws {
    var script = ShardScript()
    try script.join(1, capacity: 60)
    for index in 0..<9 { try script.handle(.extentSealed(ShardScript.extent(index))) }
    #expect(try script.pass(1).pulls(1) == [0, 1, 2, 3])
    for index in 0..<4 { try script.report(1, .held(ShardScript.held(index))) }
    #expect(try script.pass(1).pulls(1) == [4, 5])
  }

  @Test func aFileIsReleasedOnlyWhenADurableLedgerNamesEnoughShards() throws {
    var script = ShardScript(replicas: 2)
    try script.join(1)
    try script.join(2)
    try script.handle(.rowsNeeded(from: 0, settled: 100))
    try script.handle(.extentSealed(ShardScript.extent(0)))
    try script.pass(1, 2)
    #expect(try script.report(1, .held(ShardScript.held(0))).released == [])
    #expect(try script.pass(1, 2).released == [])
    #expect(try script.report(2, .held(ShardScript.held(0))).released == [], "no ledger says so yet")
    #expect(try script.pass(1, 2, seconds: 2).released == [0])
  }

  @Test func aFileThatAResumeMayAppendToStays() throws {
    var script = ShardScript()
    try script.join(1)
    try script.handle(.rowsNeeded(from: 0, settled: 99))
    try script.handle(.extentSealed(ShardScript.extent(9)))
    try script.report(1, .held(ShardScript.held(9)))
    #expect(try script.pass(1, seconds: 3).released == [])
    #expect(try script.handle(.rowsNeeded(from: 0, settled: 100)).released == [9])
  }

  @Test func aFullDiskIsLeftAloneForAWhile() throws {
    var script = ShardScript()
    try script.join(1)
    #expect(try script.handle(.extentSealed(ShardScript.extent(0))).pulls(1) == [0])
    let full = ShardReport(
      first: 0, changes: [], used: 0, capacity: 1000, isFull: true, assignment: 2, problem: "no room for extent 0")
    #expect(try script.say(.report(full), 1).logged == "Memory shard 'host1': no room for extent 0")
    #expect(try script.pass(1, seconds: 25).pulls(1) == [])
    #expect(try script.pass(1, seconds: 6).pulls(1) == [0])
  }

  /// Lets shards do what they are told, a second at a time, until nothing is under way.
  /// - Returns: how many extents each has.
  private func settle(_ script: inout ShardScript, _ shards: [UInt64: Set<Int>]) throws -> [UInt64: Int] {
    var (shards, quiet) = (shards, 0)
    while quiet < 8 {
      quiet += 1
      var effects = try script.handle(.tick, after: 1)
      for shard in shards.keys.sorted() { effects += try script.report(shard) }
      effects += try script.finishLedger()
      for shard in shards.keys.sorted() {
        guard let assignment = effects.assignment(of: shard) else { continue }
        #expect(assignment.extents.count <= 2, "at a bounded rate")
        for index in assignment.removed where shards[shard]?.remove(index) != nil {
          quiet = 0
          try script.report(shard, .removed(index))
        }
        for index in assignment.extents.map(\.extent.index) where shards[shard]?.insert(index).inserted ?? false {
          quiet = 0
          try script.report(shard, .held(ShardScript.held(index)))
        }
      }
      // Nothing is ever on fewer shards than it was.
      let table = script.coordinator.holders(first: 0, count: 9).holders
      #expect(table.allSatisfy { !$0.isEmpty }, "\(table)")
    }
    return shards.mapValues(\.count)
  }

  @Test func aShardThatJoinsGetsItsShareOfWhatThereIs() throws {
    // One extent would fill the third to a half, and the first is full to a tenth.
    for (capacity, expected) in [(1000, 4), (500, 3), (20, 0)] {
      var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<9, 1)))
      try script.join(1, held: (0..<9).map(ShardScript.held))
      try script.join(2, capacity: capacity)
      let time = Instant(nanoseconds: script.time)
      #expect(script.coordinator.memoryStatus(at: time)?.movesToMake == expected)
      #expect(try settle(&script, [1: Set(0..<9), 2: []]) == [1: 9 - expected, 2: expected])
      let status = try #require(script.coordinator.memoryStatus(at: Instant(nanoseconds: script.time)))
      #expect(status.movesToMake == 0 && status.movesMade == expected && status.copiesMade == 0)
    }
  }

  @Test func copiesStayOnDifferentHostsWhenTheyAreMoved() throws {
    var script = ShardScript(replicas: 2, resuming: ResumedMemory(ledger: ShardScript.ledger(0..<8, 1, 2)))
    try script.join(1, host: "a", held: (0..<8).map(ShardScript.held))
    try script.join(2, host: "b", held: (0..<8).map(ShardScript.held))
    try script.join(3, host: "a")
    #expect(try settle(&script, [1: Set(0..<8), 2: Set(0..<8), 3: []]) == [1: 4, 2: 8, 3: 4])
  }

  @Test func otherRowsFromBeforeAResumeAreRemoved() throws {
    var script = ShardScript(rows: 20)
    try script.join(1, held: [ShardScript.held(2), HeldExtent(index: 3, after: 77)])
    #expect(script.effects.assignment(of: 1)?.removed == [])
    var effects = try script.handle(.extentSealed(ShardScript.extent(2)))
    #expect(effects.pulls(1) == [] && script.coordinator.holders(first: 2, count: 1).holders == [[0]])
    effects = try script.handle(.extentSealed(ShardScript.extent(3)))
    #expect(effects.assignment(of: 1)?.removed == [3])
    #expect(try script.report(1, .removed(3)).pulls(1) == [3])
  }

  @Test func whatNobodyNeedsIsRemoved() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<3, 1)))
    try script.join(1, held: (0..<3).map(ShardScript.held))
    #expect(try script.handle(.rowsNeeded(from: 19, settled: 100)).assignment(of: 1)?.removed == [0])
    #expect(try script.handle(.rowsNeeded(from: 20, settled: 100)).assignment(of: 1)?.removed == [0, 1])
  }

  /// The ledger on the disk is written with its next change.
  @Test func whatTheLedgerNamesAndNobodyNeedsIsNotCopiedAfterAStart() throws {
    var script = ShardScript(
      replicas: 2, resuming: ResumedMemory(ledger: ShardScript.ledger(0..<3, 1), oldestRow: 20, settledRows: 100))
    #expect(try script.join(1, held: (0..<3).map(ShardScript.held)).assignment(of: 1)?.removed == [0, 1])
    try script.join(2)
    #expect(try script.pass(1, 2).pulls(2) == [2])
  }
}
