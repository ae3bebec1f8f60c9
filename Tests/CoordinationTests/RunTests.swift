import Coordination
import Messages
import Testing

@Suite("A run ends with its newest weights durable")
struct RunTests {
  /// One worker computes the step's one slice.
  private func passStep(_ script: inout Script, after milliseconds: UInt64 = 0) throws {
    let step = script.coordinator.step
    let lease = try #require(try script.ready(1, idle: 1, after: milliseconds).first)
    try script.complete(lease, by: 1)
    #expect(script.effects.contains(.startUpdate(step: step)))
    try script.handle(.updateFinished(Script.version(step + 1)))
  }

  private func begun(_ script: Script) -> [Int] {
    script.effects.compactMap { if case .writeCheckpoint(let step) = $0 { step } else { nil } }
  }

  private func start(everySteps: Int? = nil, every: Duration? = nil, lastStep: Int = 10) throws -> Script {
    var script = Script(slices: 1, lastStep: lastStep, everySteps: everySteps, every: every)
    try script.say(Script.hello(), 1)
    return script
  }

  @Test func checkpointsFollowSteps() throws {
    var script = try start(everySteps: 2)
    try passStep(&script)
    #expect(begun(script).isEmpty)
    try passStep(&script)
    #expect(begun(script) == [2])
    // One at a time: that of step 4 waits, and is then one of the newest step.
    for _ in 3...5 {
      try passStep(&script)
      #expect(begun(script).isEmpty)
    }
    try script.handle(.checkpointFinished(step: 2, failure: nil))
    #expect(begun(script) == [5])
  }

  @Test func stepsToBeKeptForGoodHaveCheckpoints() throws {
    var script = Script(slices: 1, everySteps: 100, keepEvery: 2)
    try script.say(Script.hello(), 1)
    try passStep(&script)
    #expect(begun(script).isEmpty)
    try passStep(&script)
    #expect(begun(script) == [2])
  }

  /// Has a step done each so many milliseconds.
  /// - Returns: milliseconds at which checkpoints were begun.
  private func timesOfCheckpoints(
    _ script: inout Script, seconds: Int, step: UInt64 = 100, writing: UInt64 = 0
  ) throws -> [UInt64] {
    var times: [UInt64] = []
    var written: (step: Int, at: UInt64)?
    for _ in 0..<(1000 * seconds / Int(step)) {
      try script.handle(.tick, after: step)
      var steps = begun(script)
      try passStep(&script)
      steps += begun(script)
      if let step = steps.first {
        times.append(script.time)
        written = (step, script.time + writing)
      }
      if let (step, at) = written, script.time >= at {
        try script.handle(.checkpointFinished(step: step, failure: nil))
        written = nil
      }
    }
    return times
  }

  private func startLong(every: Duration?, everySteps: Int? = nil) throws -> Script {
    try start(everySteps: everySteps, every: every, lastStep: 1_000_000)
  }

  @Test func aCoordinatorThatDiesYoungLosesSecondsOrAQuarterOfItsWork() throws {
    var script = try startLong(every: .seconds(600))
    let times = try timesOfCheckpoints(&script, seconds: 3600, step: 500)
    for (time, next) in zip([0] + times, times) {
      // A step more, for only whole ones are kept.
      #expect(next - time <= max(5_000, min(600_000, next / 4)) + 500, "\(times)")
    }
    let last = try #require(times.last)
    #expect(last > 3_000_000, "the pauses do not stop at what is configured: \(times)")
    // Six in an hour are configured.
    #expect(times.count <= 6 + 17, "\(times)")
  }

  @Test func earlyCheckpointsAreNoFurtherApartThanConfigured() throws {
    var script = try startLong(every: .seconds(2))
    #expect(try timesOfCheckpoints(&script, seconds: 9) == [2_000, 4_000, 6_000, 8_000])
  }

  @Test func aSlowDiskGetsFewerEarlyCheckpoints() throws {
    var script = try startLong(every: .seconds(600))
    #expect(try timesOfCheckpoints(&script, seconds: 120, writing: 2_000) == [5_000, 45_000, 85_000])
  }

  @Test func withoutATimeThereAreOnlyThoseBySteps() throws {
    var script = try startLong(every: nil, everySteps: 100)
    #expect(try timesOfCheckpoints(&script, seconds: 35) == [10_000, 20_000, 30_000])
    var none = try startLong(every: nil)
    #expect(try timesOfCheckpoints(&none, seconds: 60).isEmpty)
  }

  /// What a coordinator waits for is no work to lose.
  @Test func waitingForWorkersDoesNotDelayTheFirst() throws {
    var script = try startLong(every: .seconds(600))
    try script.handle(.tick, after: 3_600_000)
    #expect(begun(script).isEmpty)
    try script.say(Script.hello(), 1)
    let times = try timesOfCheckpoints(&script, seconds: 11)
    #expect(times == [3_600_100, 3_605_100, 3_610_100])
  }

  @Test func aFailedCheckpointIsTriedAgain() throws {
    var script = try start(everySteps: 1)
    try passStep(&script)
    try script.handle(.checkpointFinished(step: 1, failure: "no space left"))
    #expect(begun(script).isEmpty)
    try script.handle(.tick, after: 4_900)
    #expect(begun(script).isEmpty)
    try script.handle(.tick, after: 100)
    #expect(begun(script) == [1] && script.status.counts.failedCheckpoints == 1)
  }

  @Test func theLastStepIsDurableBeforeWorkersAreToldAndItStops() throws {
    var script = try start(lastStep: 1)
    try passStep(&script)
    #expect(begun(script) == [1] && script.stops.isEmpty)
    try script.handle(.checkpointFinished(step: 1, failure: nil))
    #expect(script.effects.contains(.send(.finished, to: PeerID(rawValue: 1))) && script.stops.isEmpty)
    try script.say(.goodbye, 1)
    #expect(script.stops == [.finished])
    #expect(try script.handle(.tick, after: 1_000).isEmpty)
  }

  @Test func aWorkerThatSaysNoGoodbyeDoesNotKeepTheRun() throws {
    var script = try start(lastStep: 1)
    try passStep(&script)
    try script.handle(.checkpointFinished(step: 1, failure: nil))
    try script.handle(.tick, after: 2_000)
    #expect(script.stops == [.finished])
  }

  @Test func aRunThatIsDoneStopsAtOnce() throws {
    var script = Script(lastStep: 4, from: 4, durableStep: 4)
    try script.handle(.tick)
    #expect(script.stops == [.finished])
  }

  @Test func aRequestDropsWhatIsBegunAndWritesTheNewestWeights() throws {
    var script = try start()
    try passStep(&script)
    let lease = try script.ready(1, idle: 1)[0]
    let effects = try script.handle(.stopRequested)
    #expect(effects.cancels(lease, of: 1) && begun(script) == [1])
    #expect(try script.ready(1, idle: 1).isEmpty)
    try script.handle(.checkpointFinished(step: 1, failure: nil))
    #expect(script.stops == [.requested])
  }

  @Test func aRequestDuringAnUpdateWaitsForIt() throws {
    var script = try start()
    let lease = try script.ready(1, idle: 1)[0]
    try script.complete(lease, by: 1)
    try script.handle(.stopRequested)
    #expect(begun(script).isEmpty && script.stops.isEmpty)
    try script.handle(.updateFinished(Script.version(1)))
    #expect(begun(script) == [1])
  }

  @Test func aDiskThatStaysFullDoesNotKeepAProcessThatIsAskedToLeave() throws {
    var script = try start()
    try passStep(&script)
    try script.handle(.stopRequested)
    for attempt in 1...CoordinationLimits.lastCheckpointTries {
      try script.handle(.checkpointFinished(step: 1, failure: "no space left"))
      #expect(script.stops.isEmpty == (attempt < CoordinationLimits.lastCheckpointTries))
      if attempt < CoordinationLimits.lastCheckpointTries { try script.handle(.tick, after: 5_000) }
    }
    guard case .retryable(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(
      why == "The last checkpoint, of step 1, could not be written (no space left): there is none.", "\(why)")
  }
}
