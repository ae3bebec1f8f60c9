import Foundation
import TestSupport
import Testing

/// Where a worker cannot listen, it says so, and what to do.
@Suite(.serialized, .ownThreads) struct WorkerListenTests {
  private let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private func expectRefusal(_ coordinator: String, listen: String, status: Int32, _ sentence: String) throws {
    let ended = try Program.run(["worker", "--coordinator", coordinator, "--insecure", "--listen", listen])
    #expect(ended.status == status && !ended.wasKilled, "\(ended)")
    #expect(ended.errors.contains(sentence), "\(ended.errors)")
    #expect(!ended.errors.contains("Fatal error"), "\(ended.errors)")
  }

  @Test func whatIsNoAddressIsRefusedBeforeACoordinatorIsLookedFor() throws {
    try expectRefusal(
      "tcp://127.0.0.1:9", listen: "everywhere", status: 64,
      "'everywhere' is no endpoint: it does not begin with tcp://. Write it as tcp://HOST:PORT")
  }

  @Test func whereItCannotListenIsSaid() throws {
    let coordinator = try Program.start(workshop.coordinator("run", "tcp://127.0.0.1:0"))
    defer { coordinator.terminate() }
    let address = try workshop.address("run")
    try expectRefusal(address, listen: address, status: 75, "\(address) is in use by another process.")
    try expectRefusal(
      address, listen: "tcp://192.0.2.1:7000", status: 64,
      "Cannot listen on tcp://192.0.2.1:7000: Cannot assign requested address. Give an address of this machine")
    try expectRefusal(
      address, listen: "tcp://no-such-host.invalid:7000", status: 75, "The host 'no-such-host.invalid' is unknown")
    coordinator.terminate()
    try coordinator.exit()
  }
}
