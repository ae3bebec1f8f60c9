import Coordination
import Messages
import Numerics
import Testing

@Suite("A memory shard follows its coordinator") struct ShardContactTests {
  @Test("It says hello with all that it holds until it is welcomed, then joins, then reports each second")
  func joins() throws {
    var shard = try ShardMachineScript(holding: [3, 0])
    #expect(try shard.handle(.tick) == ["hello [0, 3] 0"])
    let nobody = Sender(
      run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(0), peer: ShardMachineScript.peer)
    #expect(shard.senders == [nobody])
    #expect(try shard.handle(.tick, after: 100) == [])
    #expect(try shard.handle(.tick, after: 900) == ["hello [0, 3] 0"])
    #expect(try shard.hear(.shardWelcome(ShardMachineScript.welcome), 4) == ["join 4"])
    shard.setFigures(ShardFigures(used: 5, servedRows: 6, servedBytes: 7))
    #expect(try shard.handle(.joined) == ["report 0 [] 0"])
    #expect(shard.lines == ["Joined the run at there, incarnation 4."])
    #expect(
      shard.senders == [Sender(run: ShardMachineScript.run, incarnation: Incarnation(4), peer: ShardMachineScript.peer)]
    )
    #expect(
      shard.report
        == ShardReport(
          first: 0, changes: [], used: 5, capacity: 1000, servedRows: 6, servedBytes: 7, assignment: 0))
    for _ in 0..<60 { #expect(try shard.beat() == ["report 0 [] 0"]) }
  }

  @Test("A hello says of whose run its rows are, from the start or from the first session on") func runOfHello() throws
  {
    var old = try ShardMachineScript(run: ShardMachineScript.run)
    try old.handle(.tick)
    #expect(old.senders.map(\.run) == [ShardMachineScript.run])
    var new = try ShardMachineScript.joined(4)
    #expect(try new.hear(ShardMachineScript.refusal(.unknownPeer), 4) == ["leave", "hello [] 0"])
    #expect(
      new.senders == [Sender(run: ShardMachineScript.run, incarnation: Incarnation(4), peer: ShardMachineScript.peer)])
  }

  @Test("What cannot be joined ends it, without a goodbye") func cannotJoin() throws {
    var shard = try ShardMachineScript()
    try shard.handle(.tick)
    try shard.hear(.shardWelcome(ShardMachineScript.welcome))
    let ending = ShardEnding.turnedAway(reason: "its run cannot be joined: no memory")
    #expect(try shard.handle(.couldNotJoin(reason: "no memory")) == ["stop \(ending)"])
    #expect(try shard.handle(.tick, after: 10_000) == [])
  }

  @Test("What an older incarnation says is dropped, whatever it is") func olderIncarnation() throws {
    var shard = try ShardMachineScript.joined(2, holding: [1])
    let words: [CoordinatorMessage] = [
      .shardWelcome(ShardMachineScript.welcome), .finished, .assignment(Assignment(number: 9, heard: 0, removed: [1])),
      ShardMachineScript.refusal(.unknownPeer), ShardMachineScript.refusal(.quarantined), .heartbeat(step: 1),
    ]
    for word in words { #expect(try shard.hear(word, 1) == [], "\(word)") }
    #expect(try shard.assign(1, removing: [1], incarnation: 2) == ["remove 1", "copy []"])
  }

  @Test("A process that begins anew follows no older incarnation than the one before it did") func begunAnew() throws {
    var shard = try ShardMachineScript(holding: [1], run: ShardMachineScript.run, following: 5)
    try shard.handle(.tick)
    #expect(shard.senders.map(\.incarnation) == [Incarnation(5)])
    #expect(try shard.hear(.shardWelcome(ShardMachineScript.welcome), 4) == [])
    #expect(try shard.hear(ShardMachineScript.refusal(.unknownPeer), 4) == [])
    #expect(
      shard.lines == [
        "Incarnation 4 of the run answers at there, though 5 was started after it: it is not listened to. Stop that "
          + "coordinator. If the run directory was put back from an older copy, remove \"incarnation\" "
          + "from here/shard.json instead, and start this shard again."
      ])
    #expect(try shard.hear(.shardWelcome(ShardMachineScript.welcome), 5) == ["join 5"])
    try shard.handle(.joined)
    #expect(try shard.assign(1, removing: [1], incarnation: 4) == [])
    #expect(try shard.assign(1, removing: [1], incarnation: 5) == ["remove 1", "copy []"])
  }

  @Test("What cannot be joined yet is greeted again, each time later, and nothing counts meanwhile") func joinsLater()
    throws
  {
    var shard = try ShardMachineScript(holding: [1])
    try shard.handle(.tick)
    var lines = 0
    for pause in [1_000, 2_000, 4_000] as [UInt64] {
      #expect(try shard.hear(.shardWelcome(ShardMachineScript.welcome)) == ["join 1"])
      #expect(try shard.handle(.notJoined(reason: "No room.")) == ["leave"])
      lines += shard.lines.count
      #expect(try shard.assign(1, removing: [1]) == [])
      #expect(try shard.handle(.tick, after: pause / 4) == [])
      #expect(try shard.handle(.tick, after: pause) == ["hello [1] 0"])
    }
    #expect(lines == 1)
    #expect(try shard.hear(.shardWelcome(ShardMachineScript.welcome)) == ["join 1"])
    #expect(try shard.handle(.joined) == ["report 0 [] 0"])
  }

  @Test("A newer incarnation is greeted at once, or joined if it welcomes, and nothing is copied meanwhile")
  func newerIncarnation() throws {
    let words = [
      ShardMachineScript.refusal(.unknownPeer), .heartbeat(step: 3),
      .assignment(Assignment(number: 1, heard: 0, removed: [1])),
    ]
    for word in words {
      var shard = try ShardMachineScript.joined(1, holding: [1])
      #expect(try shard.hear(word, 2) == ["leave", "hello [1] 0"], "\(word)")
      #expect(shard.senders.map(\.incarnation) == [Incarnation(2)])
      #expect(try shard.hear(.shardWelcome(ShardMachineScript.welcome), 1) == [])
      #expect(try shard.hear(.shardWelcome(ShardMachineScript.welcome), 2) == ["join 2"])
    }
    var shard = try ShardMachineScript.joined(1)
    #expect(try shard.hear(.shardWelcome(ShardMachineScript.welcome), 2) == ["leave", "join 2"])
  }

  @Test("Finished counts of the incarnation that is followed, or a newer one, welcomed or not") func finished() throws {
    for (incarnation, words) in [(1 as UInt64, []), (2, ["leave", "goodbye", "stop finished"])] {
      var shard = try ShardMachineScript.joined(2)
      #expect(try shard.hear(.finished, incarnation) == words)
    }
    var newer = try ShardMachineScript.joined(2)
    #expect(try newer.hear(.finished, 3).last == "stop finished")
    // It was drained, and did not hear of it before it greeted anew.
    var stranger = try ShardMachineScript()
    try stranger.handle(.tick)
    #expect(try stranger.hear(.finished) == ["stop finished"])
  }

  @Test("In silence, and after its connection was lost, it reports on and says no hello") func silence() throws {
    var shard = try ShardMachineScript.joined()
    for _ in 0..<60 { #expect(try shard.beat() == ["report 0 [] 0"]) }
    for _ in 0..<3 {
      #expect(try shard.handle(.connectionLost, after: 10) == [])
      #expect(try shard.handle(.tick) == ["report 0 [] 0"])
    }
    #expect(try shard.handle(.tick, after: 900) == [])
  }

  @Test("A welcome that comes again changes nothing") func welcomedTwice() throws {
    var shard = try ShardMachineScript.joined()
    try shard.assign(1, [3])
    #expect(try shard.hear(.shardWelcome(ShardMachineScript.welcome)) == [])
    #expect(try shard.beat() == ["report 0 [] 1"])
  }

  @Test("Who will not work with it ends it; what may pass does not") func turnedAway() throws {
    for reason in Refusal.Reason.allCases {
      var shard = try ShardMachineScript()
      try shard.handle(.tick)
      let words = try shard.hear(ShardMachineScript.refusal(reason))
      switch reason {
      case .protocolVersion, .computeClass, .quarantined, .otherRun:
        #expect(words == ["stop \(ShardEnding.turnedAway(reason: "Because."))"], "\(reason)")
      case .unknownPeer, .malformed, .tooManyPeers, .duplicateShard:
        #expect(words == [] && shard.lines == ["Because."], "\(reason)")
      }
    }
  }

  @Test("Another process with its identity may be its predecessor's last word, for a quarter of a minute")
  func duplicates() throws {
    var shard = try ShardMachineScript()
    try shard.handle(.tick)
    try shard.handle(.tick, after: 14_999)
    #expect(try shard.hear(ShardMachineScript.refusal(.duplicateShard)) == [])
    #expect(shard.lines == ["Because."])
    try shard.handle(.tick, after: 1)
    let ending = ShardEnding.turnedAway(reason: "Because.")
    #expect(try shard.hear(ShardMachineScript.refusal(.duplicateShard)) == ["stop \(ending)"])
  }

  @Test("Another run's coordinator ends it by refusing it, and by nothing else") func otherRun() throws {
    for word: CoordinatorMessage in [
      .shardWelcome(ShardMachineScript.welcome), .finished, ShardMachineScript.refusal(.quarantined),
    ] {
      var shard = try ShardMachineScript.joined()
      #expect(try shard.hear(word, 1, run: ShardMachineScript.otherRun) == [], "\(word)")
    }
    var shard = try ShardMachineScript.joined()
    let words = try shard.hear(ShardMachineScript.refusal(.otherRun), 1, run: ShardMachineScript.otherRun)
    #expect(words.last == "stop \(ShardEnding.turnedAway(reason: "Because."))")
  }

  @Test("Asked to stop, given up on, or failed, it says goodbye where it is known") func stops() throws {
    for (event, ending) in [(ShardEvent.stopRequested, "stopped"), (.failed, "failed")] {
      var shard = try ShardMachineScript.joined()
      #expect(try shard.handle(event) == ["leave", "goodbye", "stop \(ending)"])
      #expect(try shard.assign(1, [3]) == [])
    }
    var stranger = try ShardMachineScript(givesUpAfter: .seconds(10))
    try stranger.handle(.tick)
    #expect(try stranger.handle(.tick, after: 9_000) == ["hello [] 0"])
    #expect(try stranger.handle(.tick, after: 1_000) == ["stop silent"])
  }
}

@Suite("A memory shard's extents") struct ShardExtentTests {
  @Test("What is assigned is copied unless it is there, and said until it was heard") func copies() throws {
    var shard = try ShardMachineScript.joined(holding: [3])
    #expect(try shard.assign(1, [3, 4, 5]) == ["copy [4, 5]"])
    #expect(try shard.handle(.extent(ShardMachineScript.held(4))) == ["report 0 [+4] 1"])
    #expect(try shard.assign(1, [3, 4, 5]) == ["copy [5]"])
    #expect(try shard.handle(.extent(ShardMachineScript.held(5))) == ["report 0 [+4, +5] 1"])
    #expect(try shard.assign(2, heard: 1) == ["copy []"])
    for _ in 0..<3 { #expect(try shard.beat() == ["report 1 [+5] 2"]) }
    try shard.assign(2, heard: 2)
    #expect(try shard.beat() == ["report 2 [] 2"])
  }

  @Test("A copy of other rows takes the place of those that are there") func otherRows() throws {
    var shard = try ShardMachineScript.joined(holding: [3])
    var other = ShardMachineScript.extent(3)
    other.after = Digest(high: 1, low: 99)
    let assignment = Assignment(
      number: 1, heard: 0, extents: [AssignedExtent(extent: other, sources: [.coordinator])])
    #expect(try shard.hear(.assignment(assignment)) == ["copy [3]"])
    let held = HeldExtent(index: 3, after: other.after.low)
    #expect(try shard.handle(.extent(.held(held))) == ["report 0 [+3] 1"])
    // Told twice, it happened once.
    #expect(try shard.handle(.extent(.held(held))) == [])
  }

  @Test("What is to go is removed if it is there, and said with the next report") func removals() throws {
    var shard = try ShardMachineScript.joined(holding: [3, 4])
    #expect(try shard.assign(1, removing: [2, 3]) == ["remove 3", "copy []"])
    // It could not be: it is told again.
    #expect(try shard.handle(.extent(.notRemoved(3, reason: "read-only"))) == [])
    #expect(shard.lines == ["Extent 3 could not be removed: read-only"])
    #expect(try shard.assign(1, removing: [2, 3]) == ["remove 3", "copy []"])
    try shard.handle(.extent(.notRemoved(3, reason: "read-only")))
    #expect(shard.lines == [])
    #expect(try shard.handle(.extent(.removed(3))) == [])
    #expect(try shard.beat() == ["report 0 [-3] 1"])
    #expect(try shard.assign(1, removing: [2, 3]) == ["copy []"])
  }

  @Test("An assignment that was overtaken is dropped, in later sessions with the same incarnation too")
  func overtaken() throws {
    var shard = try ShardMachineScript.joined(holding: [3])
    try shard.assign(5)
    #expect(try shard.assign(4, heard: 9, [7], removing: [3]) == [])
    try shard.hear(ShardMachineScript.refusal(.unknownPeer))
    try shard.hear(.shardWelcome(ShardMachineScript.welcome))
    #expect(try shard.handle(.joined) == ["report 0 [] 5"])
    #expect(try shard.assign(4, [7], removing: [3]) == [])
    #expect(try shard.assign(6, [7], removing: [3]) == ["remove 3", "copy [7]"])
    // Another one counts from the beginning.
    try shard.hear(.shardWelcome(ShardMachineScript.welcome), 2)
    #expect(try shard.handle(.joined) == ["report 0 [] 0"])
    #expect(try shard.assign(1, [8], incarnation: 2) == ["copy [8]"])
  }

  @Test("Without a session nothing is assigned; what was begun in one counts after it") func outsideSessions() throws {
    var shard = try ShardMachineScript.joined(holding: [3])
    try shard.assign(1, [4])
    try shard.hear(ShardMachineScript.refusal(.unknownPeer))
    #expect(try shard.assign(2, [5], removing: [3]) == [])
    #expect(try shard.handle(.extent(ShardMachineScript.held(4))) == [])
    #expect(try shard.hear(.shardWelcome(ShardMachineScript.welcome)) == ["join 1"])
    #expect(try shard.assign(2, [5], removing: [3]) == [])
    #expect(try shard.handle(.joined) == ["report 0 [+4] 1"])
  }

  @Test("Damage is said once, is held no longer, and is over with a new copy") func damage() throws {
    var shard = try ShardMachineScript.joined(holding: [3, 4])
    #expect(try shard.handle(.damaged([3])) == ["report 0 [!3] 0"])
    #expect(shard.lines == ["Extents 3 in here are damaged: copied again from whoever has them."])
    #expect(try shard.handle(.damaged([3])) == [])
    #expect(try shard.assign(1, heard: 1, [3]) == ["copy [3]"])
    #expect(try shard.handle(.damaged([3, 4])) == ["report 1 [!4] 1"])
    #expect(try shard.handle(.extent(ShardMachineScript.held(3))) == ["report 1 [!4, +3] 1"])
    #expect(try shard.handle(.damaged([3])) == ["report 1 [!4, +3, !3] 1"])
    // What is left of it goes as any other.
    #expect(try shard.assign(2, heard: 4, removing: [3]) == ["remove 3", "copy []"])
  }

  @Test("A hello does not list an extent whose damage was said, and that is told again to whoever did not hear it")
  func damageInHello() throws {
    var shard = try ShardMachineScript.joined(holding: [3, 4])
    try shard.handle(.damaged([3]))
    #expect(try shard.hear(ShardMachineScript.refusal(.unknownPeer)) == ["leave", "hello [4] 1"])
  }

  @Test("Many damaged extents are one line") func muchDamage() throws {
    var shard = try ShardMachineScript.joined(holding: Array(0..<20))
    try shard.handle(.damaged(Set(0..<20)))
    let line =
      "Extents 0, 1, 2, 3, 4, 5, 6, 7 and 12 more, up to 19, in here are damaged: copied again from whoever has them."
    #expect(shard.lines == [line])
  }

  /// A hello that says it may be lost, and the welcome be the answer to an older one.
  @Test("What changed before a hello is said after it too, until it was heard") func changesOutliveHellos() throws {
    var shard = try ShardMachineScript(holding: [3, 4])
    #expect(try shard.handle(.tick) == ["hello [3, 4] 0"])
    try shard.handle(.damaged([3]))
    #expect(try shard.handle(.tick, after: 600) == ["hello [4] 1"])
    try shard.hear(.shardWelcome(ShardMachineScript.welcome))
    #expect(try shard.handle(.joined) == ["report 0 [!3] 0"])
    try shard.assign(1, heard: 1)
    #expect(try shard.beat() == ["report 1 [] 1"])
  }

  @Test("Numbers that it never gave are none of its changes") func strangeNumbers() throws {
    var shard = try ShardMachineScript.joined(holding: [3, 4])
    try shard.handle(.damaged([3]))
    try shard.assign(1, heard: .max)
    try shard.handle(.damaged([4]))
    #expect(try shard.beat() == ["report 1 [!4] 1"])
    try shard.assign(1, heard: 0)
    #expect(try shard.beat() == ["report 1 [!4] 1"])
  }

  @Test("More changes than a message holds are said piece by piece") func manyChanges() throws {
    let count = WireLimits.extentsAssigned + 3
    var shard = try ShardMachineScript.joined(holding: Array(0..<count))
    try shard.handle(.damaged(Set(0..<count)))
    #expect(shard.report?.first == 0 && shard.report?.changes.count == WireLimits.extentsAssigned)
    try shard.assign(1, heard: UInt64(WireLimits.extentsAssigned))
    let last = WireLimits.extentsAssigned
    #expect(try shard.beat() == ["report \(last) [!\(last), !\(last + 1), !\(last + 2)] 1"])
  }

  @Test("A full disk is said until a copy succeeds or another assignment has something to copy") func fullDisk() throws
  {
    var shard = try ShardMachineScript.joined()
    try shard.assign(1, [3])
    #expect(try shard.handle(.extent(.noRoom(3, reason: "28"))) == ["report 0 [] 1 full"])
    #expect(shard.report?.problem == "no room for extent 3: 28" && shard.lines == ["No room for extent 3: 28"])
    // The same again, and one with nothing to copy, say nothing new of the disk.
    try shard.assign(1, [3])
    try shard.assign(2)
    #expect(try shard.beat() == ["report 0 [] 2 full"])
    try shard.assign(3, [4])
    #expect(try shard.beat() == ["report 0 [] 3"])
    #expect(shard.report?.problem == "")
    try shard.handle(.extent(.noRoom(4, reason: "28")))
    #expect(try shard.handle(.extent(ShardMachineScript.held(4))) == ["report 0 [+4] 3"])
    #expect(shard.report?.problem == "")
  }

  @Test("What could not be copied is a problem, told to people once in a while") func failedCopies() throws {
    var shard = try ShardMachineScript.joined()
    try shard.assign(1, [3, 4])
    #expect(try shard.handle(.extent(.notCopied(3, reason: "nobody has it"))) == ["report 0 [] 1"])
    #expect(shard.report?.problem == "extent 3 could not be copied: nobody has it")
    #expect(shard.lines == ["Extent 3 could not be copied: nobody has it"])
    try shard.handle(.extent(.notCopied(4, reason: "nobody has it")))
    #expect(shard.lines == [])
    try shard.handle(.tick, after: 61_000)
    #expect(shard.lines.last == "1 more extents could not be copied, numbers 4 to 4.")
  }
}
