import Foundation
import Glibc
import TestSupport
import Testing
import massl

/// Only a person who interrupts again, after a moment, is in a hurry.
struct StopRequestsTests {
  static let second: [CInt] = [SIGTERM, SIGHUP, SIGUSR1, SIGUSR2]

  private func requests(_ signals: [(CInt?, after: Duration)]) -> [StopRequest?] {
    var requests = StopRequests()
    let start = ContinuousClock.now
    return signals.map { requests.take($0.0, at: start + $0.after) }
  }

  @Test(arguments: second) func noOtherSignalHurries(number: CInt) {
    #expect(
      requests([(number, .zero), (number, .seconds(1)), (SIGINT, .seconds(2)), (number, .seconds(3))])
        == [.leave, nil, nil, nil])
    #expect(requests([(SIGINT, .zero), (number, .seconds(9)), (nil, .seconds(10))]) == [.leave, nil, nil])
  }

  @Test func aSecondInterruptionHurriesOnce() {
    #expect(
      requests([(SIGINT, .zero), (SIGINT, .seconds(1)), (SIGINT, .seconds(2))]) == [.leave, .hurry, nil])
    #expect(requests([(SIGTERM, .zero), (SIGINT, .seconds(1)), (SIGINT, .seconds(2))]) == [.leave, nil, .hurry])
  }

  @Test func aProcessAndItsGroupInterruptedTogetherAreOneInterruption() {
    #expect(
      requests([
        (SIGINT, .zero), (SIGINT, .milliseconds(1)), (SIGINT, .milliseconds(499)), (SIGINT, .milliseconds(500)),
      ])
        == [.leave, nil, nil, .hurry])
  }

  @Test func theEndOfTheParentAsksToLeave() { #expect(requests([(nil, .zero)]) == [.leave]) }
}

/// A coordinator that writes its last checkpoint is waited for, however often the supervisor is told to stop.
struct SupervisorTests {
  /// A shell script in the coordinator's place: on SIGTERM it says `told`, and is done when somebody says `release`.
  static let script = """
    #!/bin/sh
    cd "$1"
    trap 'echo >told' TERM
    echo tcp://127.0.0.1:1 >address.new && mv address.new address
    while [ ! -e told ]; do sleep 0.01; done
    while [ ! -e release ]; do sleep 0.01; done
    echo >whole
    exit 0
    """

  /// - Parameter during: while the coordinator writes its last checkpoint, after it was told to.
  private func run(during: (Supervisor, _ folder: String) throws -> Void) throws -> (massl.ExitStatus?, isWhole: Bool) {
    let folder = FileManager.default.temporaryDirectory.appending(path: "massl-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let program = "\(folder)/program"
    try Data(Self.script.utf8).write(to: URL(fileURLWithPath: program))
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
    let supervisor = Supervisor(
      program: URL(fileURLWithPath: program), coordinator: [folder], addressPath: "\(folder)/address",
      lockPath: "\(folder)/lock", workers: [], memory: ""
    ) { _, _ in }
    func isThere(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(folder)/\(name)") }
    let ended = DispatchSemaphore(value: 0)
    nonisolated(unsafe) var status: massl.ExitStatus?
    Thread.detachNewThread {
      status = try? supervisor.run()
      ended.signal()
    }
    #expect(eventually(within: 30) { isThere("address") })
    supervisor.requestStop(.leave)
    #expect(eventually(within: 30) { isThere("told") })
    try during(supervisor, folder)
    #expect(ended.wait(timeout: .now() + 30) == .success)
    return (status, isThere("whole"))
  }

  @Test func stoppedAgainItStillWaitsForTheLastCheckpoint() throws {
    let (status, isWhole) = try run { supervisor, folder in
      for _ in 1...3 {
        supervisor.requestStop(.leave)
        // Several of its looks.
        Thread.sleep(forTimeInterval: 0.1)
      }
      try Data().write(to: URL(fileURLWithPath: "\(folder)/release"))
    }
    #expect(status == .done && isWhole)
  }

  @Test func inAHurryItDoesNot() throws {
    let (status, isWhole) = try run { supervisor, _ in supervisor.requestStop(.hurry) }
    #expect(status == .tryAgain && !isWhole)
  }

  @Test func stoppedBeforeItBeganItStartsNothing() throws {
    let supervisor = Supervisor(
      program: URL(fileURLWithPath: "/nowhere"), coordinator: [], addressPath: "/nowhere", lockPath: "/nowhere",
      workers: [], memory: ""
    ) { _, _ in }
    supervisor.requestStop(.leave)
    #expect(try supervisor.run() == .done)
  }
}
