import Messages
import Services
import TestSupport
import Testing
import Threads
import Wire

@Suite("Who cannot be reached is named, with both ports") struct ReachTests {
  static let control = try! Endpoint("tcp://10.0.0.1:5611")
  static let bulk = try! Endpoint("tcp://coordinator:5612")

  @Test func aBulkPortThatTakesNoConnectionIsToldSoonAndThenEachMinute() {
    let start = ContinuousClock.now
    var reach = BulkReach(of: Self.bulk, control: Self.control, at: start)
    #expect(reach.look(isConnected: false, at: start + .seconds(2)) == nil)
    #expect(
      reach.look(isConnected: false, at: start + .seconds(3))
        == "The control port 5611 at 10.0.0.1 answers, its bulk port 5612 does not: open it in the firewall, and forward "
        + "it where the other is, for both are needed. Still trying.")
    #expect(
      "\(reach.silence)"
        == "the control port 5611 at 10.0.0.1 answers, the bulk port 5612 takes no connection")
    #expect(reach.look(isConnected: false, at: start + .seconds(62)) == nil)
    #expect(reach.look(isConnected: false, at: start + .seconds(63)) != nil)
    #expect(reach.look(isConnected: true, at: start + .seconds(200)) == nil)
    #expect("\(reach.silence)" == "there is no answer on the bulk socket, tcp://coordinator:5612")
    #expect(reach.look(isConnected: false, at: start + .seconds(202)) == nil)
    #expect(reach.look(isConnected: false, at: start + .seconds(203)) != nil)
  }

  @Test func aFirstConnectionIsWaitedForLongerThanOneThatWasLost() {
    let start = ContinuousClock.now
    var reach = BulkReach(of: Self.bulk, control: nil, at: start)
    #expect(!reach.isHopeless(after: .seconds(2)))
    #expect(reach.isHopeless(after: .milliseconds(2001)))
    _ = reach.look(isConnected: true, at: start)
    #expect(!reach.isHopeless(after: .seconds(20)))
    _ = reach.look(isConnected: false, at: start)
    #expect(!reach.isHopeless(after: .milliseconds(500)))
    #expect(reach.isHopeless(after: .milliseconds(501)))
  }

  @Test(.timeLimit(.minutes(10))) func aWorkerOfWhichOnlyTheFirstPortIsLetThroughSaysSo() throws {
    // Port 1: nobody listens there.
    let coordinator = try ScriptedCoordinator(bulkPort: 1)
    let book = LogBook()
    let worker = try WorkerService(
      WorkerOptions(
        coordinator: coordinator.control.endpoint, data: nil, threads: 1, security: .none(.loopback),
        probe: SmallRun.probe, name: "test"), log: book.log)
    let ended = BoundedQueue<Bool>(capacity: 1)
    startThread(named: "worker") {
      _ = try? worker.run()
      ended.close()
    }
    try coordinator.welcome(coordinator.hello().peer)
    let words =
      "The control port \(coordinator.control.endpoint.port) at 127.0.0.1 answers, its bulk port 1 does not: open it"
    #expect(book.waits(for: words), "\(book.lines)")
    #expect(book.lines.filter { BulkSilence.isSaid(in: $0) }.count == 1)
    worker.requestStop()
    #expect(try ended.handedOver() == nil)
  }

  @Test func whoeverIsAskedWithoutAKeySaysThatItWantsOne() throws {
    let context = try Context()
    let keyed = try RouterSocket(
      in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .control,
      security: .curve(ServerKeys(own: .generate(), allowed: AllowedKeys([]))))
    let wanted = WireError.handshakeFailed(keyed.endpoint, .coordinatorWantsKeys)
    guard
      case .none(let reason) = try StatusInquiry(of: keyed.endpoint, security: .none(.loopback))
        .ask(patience: .patience)
    else {
      Issue.record("an answer")
      return
    }
    #expect(reason == wanted)
    #expect(throws: wanted) {
      try MemoryInquiry(of: keyed.endpoint, security: .none(.loopback)).list(patience: .patience)
    }
    let book = LogBook()
    let search = try CoordinatorSearch(["\(keyed.endpoint)"]) { _ in .none(.loopback) }
    _ = try search.find(until: { !book.lines.isEmpty }, log: book.log)
    #expect(book.lines == ["\(wanted) Still trying."])
  }
}
