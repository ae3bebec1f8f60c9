import Foundation
import TestSupport
import Testing

/// Processes under a service manager say when they are up, that they move, how they are doing, and that they end.
@Suite(.serialized, .ownThreads) struct ServiceManagerTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  /// As systemd starts it, with a watchdog that wants a beat every tenth of a second.
  private func watched(by socket: NotifySocket) -> [String] {
    ["/usr/bin/env", "NOTIFY_SOCKET=\(socket.address)", "WATCHDOG_USEC=400000"]
  }

  @Test func coordinatorAndWorkerSayHowTheyAreDoing() throws {
    let coordinators = try NotifySocket(at: "@\(UUID())")
    let workers = try NotifySocket(at: workshop.folder + "/notify")
    let coordinator = try Program.start(
      workshop.coordinator("r", "tcp://127.0.0.1:0") + ["--max-steps", "100000", "--epochs", "100000"],
      through: watched(by: coordinators))
    #expect(coordinators.next()?.first == "READY=1")
    #expect(coordinators.hears { $0 == "WATCHDOG=1" })
    let worker = try Program.start(
      ["worker", "--coordinator", try workshop.address("r")], through: watched(by: workers))
    #expect(workers.next()?.first == "READY=1")
    #expect(workers.hears { $0.hasPrefix("STATUS=Works for the coordinator at tcp://") })
    #expect(workers.hears { $0 == "WATCHDOG=1" })
    #expect(coordinators.hears { $0.hasPrefix("STATUS=step ") && $0.contains("loss") })
    for (process, socket) in [(worker, workers), (coordinator, coordinators)] {
      process.terminate()
      #expect(socket.hears { $0 == "STOPPING=1" })
      #expect(try process.exit() == 0)
    }
  }

  @Test func whoWaitsForACoordinatorIsUpAndMoves() throws {
    let socket = try NotifySocket(at: "@\(UUID())")
    for arguments in [
      ["worker", "--coordinator", "tcp://127.0.0.1:1"],
      [
        "memory", "--coordinator", "tcp://127.0.0.1:1", "--capacity", "1MiB", "--directory", workshop.folder + "/shard",
      ],
    ] {
      let process = try Program.start(arguments, through: watched(by: socket))
      #expect(socket.hears { $0 == "READY=1" })
      for _ in 0..<2 { #expect(socket.hears { $0 == "WATCHDOG=1" }) }
      process.terminate()
      try process.exit()
    }
  }

  /// What they said would be taken for the word of the one that was started.
  @Test func whatTrainStartsSaysNothing() throws {
    let socket = try NotifySocket(at: "@\(UUID())")
    #expect(try Program.run(workshop.arguments("t"), through: watched(by: socket)).status == 0)
    #expect(socket.next(within: 0) == nil)
  }
}
