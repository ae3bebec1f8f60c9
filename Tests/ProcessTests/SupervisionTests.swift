import Foundation
import TestSupport
import Testing

/// Processes of a run that are told to leave, die, move or are there already.
@Suite(.serialized, .ownThreads) struct SupervisionTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  @Test func aCoordinatorThatCannotFinishItsCheckpointLeavesWithinItsGrace() throws {
    let long = ["--max-steps", "100000", "--epochs", "100000", "--checkpoint-every-steps", "0", "--grace", "1"]
    let coordinator = try Program.start(workshop.coordinator("hasty", "tcp://127.0.0.1:0") + long)
    let worker = try Program.start(["worker", "--coordinator", workshop.address("hasty"), "--stop-with-parent"])
    let metrics = workshop.run("hasty") + "/metrics.jsonl"
    let hasBegun = eventually(within: 40) { FileManager.default.contents(atPath: metrics)?.isEmpty == false }
    try #require(hasBegun, "no step was done")
    // A file in the place of the directory: no checkpoint can be written, however often it is tried.
    let checkpoints = workshop.run("hasty") + "/checkpoints"
    try FileManager.default.moveItem(atPath: checkpoints, toPath: checkpoints + "-aside")
    try Data().write(to: URL(fileURLWithPath: checkpoints))
    coordinator.terminate()
    try coordinator.exit()
    let text = try String(contentsOfFile: workshop.run("hasty") + "/coordinator.log", encoding: .utf8)
    #expect(coordinator.terminationStatus == 75, "\(text)")
    worker.terminate()
    try worker.exit()
  }

  @Test func whoseParentIsGoneBeforeItLooksLeaves() throws {
    // It was started by another process than the one that it is handed to by now.
    let worker = try Program.start(
      ["worker", "--coordinator", "tcp://127.0.0.1:1", "--stop-with-parent"],
      through: ["/usr/bin/env", "MASSL_PARENT=1"])
    try worker.exit()
  }

  @Test func aWorkerFindsACoordinatorThatMoved() throws {
    let long = ["--max-steps", "100000", "--epochs", "100000"]
    let first = try Program.start(workshop.coordinator("moving", "tcp://127.0.0.1:0") + long)
    _ = try workshop.address("moving")
    let worker = try Program.start(["worker", "--coordinator", workshop.run("moving") + "/coordinator.address"])
    try workshop.awaitCheckpoint("moving", of: first)
    kill(first.processIdentifier, SIGKILL)
    try first.exit()
    let step = try #require(workshop.steps("moving").last)
    let second = try Program.start(
      workshop.coordinator("moving", "tcp://127.0.0.1:0") + [
        "--max-steps", "\(step + 20)", "--change", "epochs=100000",
      ])
    try second.exit()
    try worker.exit()
    #expect(second.terminationStatus == 0 && worker.terminationStatus == 0)
    #expect(workshop.steps("moving").last == step + 20)
    #expect(!workshop.exists("moving/coordinator.address"), "a coordinator that ended leaves no address")
  }

  @Test func trainEndsItsProcessesWhenToldToOrKilled() throws {
    for signal in [SIGTERM, SIGKILL] {
      let run = "ended-\(signal)"
      let train = try Program.start(workshop.arguments(run) + ["--max-steps", "100000", "--epochs", "100000"])
      try workshop.awaitCheckpoint(run, of: train)
      kill(train.processIdentifier, signal)
      try train.exit()
      if signal == SIGTERM { #expect(train.terminationStatus == 0 && train.terminationReason == .exit) }
      #expect(eventually(within: 20) { (workshop.processes("coordinator") + workshop.processes("worker")).isEmpty })
    }
  }

  @Test(arguments: [0, 3, 10, 20, 40, 80, 160])
  func aSignalIsHeededHoweverEarlyItComes(milliseconds: Int) throws {
    // Nobody listens there: the worker would wait for ever.
    let worker = try Program.start(["worker", "--coordinator", "tcp://127.0.0.1:1"])
    usleep(UInt32(milliseconds * 1000))
    worker.terminate()
    let status = try worker.exit(within: 15)
    // Before the first line of 'main' the signal ends it by itself; from then on it leaves in order.
    let hasBegun = worker.terminationReason == .exit
    #expect(status == (hasBegun ? 0 : SIGTERM), "\(status)")
  }

  @Test func trainReplacesAWorkerThatSomebodyStopped() throws {
    #expect(try Program.run(workshop.arguments("serene")).status == 0)
    let train = try workshop.train("robbed", workers: 1)
    try workshop.awaitCheckpoint("robbed", of: train)
    for process in workshop.processes("worker") { kill(process, SIGTERM) }
    #expect(try train.exit() == 0)
    #expect(try workshop.digests("robbed") == workshop.digests("serene"))
  }

  @Test func aSecondTrainLeavesALivingRunAlone() throws {
    let first = try Program.start(workshop.coordinator("lively", "tcp://127.0.0.1:0"))
    defer { first.terminate() }
    let address = try workshop.address("lively")
    let second = try Program.run(workshop.arguments("lively"), limit: 40)
    #expect(second.status == 75 && second.errors.contains("is locked by process"), "\(second)")
    #expect(try workshop.address("lively") == address && first.isRunning)
  }

  @Test func trainStartsAKilledCoordinatorAgain() throws {
    #expect(try Program.run(workshop.arguments("calm")).status == 0)
    let train = try workshop.train("killed", workers: 2)
    try workshop.awaitCheckpoint("killed", of: train)
    for process in workshop.processes("coordinator") { kill(process, SIGKILL) }
    #expect(try train.exit() == 0)
    #expect(try workshop.digests("killed") == workshop.digests("calm"))
  }
}
