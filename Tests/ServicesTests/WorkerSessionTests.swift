import Numerics
import Services
import Testing
import Wire

@Suite("A worker takes nothing on trust", .timeLimit(.minutes(1))) struct WorkerSessionTests {
  private func start(_ coordinator: ScriptedCoordinator, _ book: LogBook) throws -> WorkerService {
    let worker = try WorkerService(
      WorkerOptions(
        coordinator: coordinator.control.endpoint, data: nil, threads: 2, security: .none(.loopback),
        probe: SmallRun.probe, name: "test"), log: book.log)
    startThread(named: "worker") { _ = try? worker.run() }
    return worker
  }

  private func lease(_ number: UInt64, step: Int = 0, slices: SliceRange, rows: Int = 0, floor: Int = 0) -> Lease {
    Lease(
      lease: LeaseID(number), step: step, slices: slices, student: SmallRun.probe, teacher: SmallRun.probe, rows: rows,
      memoryFloor: floor)
  }

  @Test("Leases that fit no step are given back with the reason, and the worker goes on") func badLeases() throws {
    let coordinator = try ScriptedCoordinator(keys: ["max_steps": "5"])
    let book = LogBook()
    let worker = try start(coordinator, book)
    defer { worker.requestStop() }
    let peer = try coordinator.hello().peer
    try coordinator.welcome(peer)
    _ = try coordinator.ready()
    // Three slices: 0 and 1 are a node, 1 and 2 are none.
    let bad: [(Lease, String)] = [
      (lease(1, step: 5, slices: SliceRange(first: 0, count: 1)), "step 5 of a run of 5"),
      (lease(2, slices: SliceRange(first: 1, count: 2)), "slices 1 to 3 are no node of 3"),
      (lease(3, slices: SliceRange(first: 2, count: 2)), "slices 2 to 4 are no node of 3"),
      (lease(4, slices: SliceRange(first: 0, count: 1), rows: 6, floor: 7), "a memory of 6 rows with floor 7"),
    ]
    for (lease, problem) in bad {
      try coordinator.say(.lease(lease), to: peer)
      let returned = try coordinator.returned()
      #expect(returned.lease == lease.lease && returned.reason == "the lease cannot be computed: \(problem)")
      #expect(book.lines.contains("Gave lease \(lease.lease.number) back: the lease cannot be computed: \(problem)."))
    }
    let (ready, _) = try coordinator.ready()
    #expect(ready.held.isEmpty && ready.idleThreads == 2)
  }

  @Test("Weights with another digest than the lease's are not computed with") func otherWeights() throws {
    let coordinator = try ScriptedCoordinator { request in
      guard case .weights(let network, let step, let offset, let count) = request else { return nil }
      return (.weights(network: network, step: step, offset: offset), .floats(FloatBuffer(count: count), 0..<count))
    }
    let worker = try start(coordinator, LogBook())
    defer { worker.requestStop() }
    let peer = try coordinator.hello().peer
    try coordinator.welcome(peer)
    try coordinator.say(.lease(lease(1, slices: SliceRange(first: 0, count: 2))), to: peer)
    #expect(try coordinator.returned().reason == "the student's weights came with other bits than the lease names")
  }

  @Test("A coordinator that started anew is greeted, and its leases are not mixed with the old one's")
  func newIncarnation() throws {
    let coordinator = try ScriptedCoordinator()
    let worker = try start(coordinator, LogBook())
    defer { worker.requestStop() }
    let peer = try coordinator.hello().peer
    try coordinator.welcome(peer)
    try coordinator.say(.lease(lease(1, slices: SliceRange(first: 0, count: 2))), to: peer)
    while try coordinator.ready().value.held != [LeaseID(1)] {}
    try coordinator.say(
      .refusal(Refusal(reason: .unknownPeer, text: "The coordinator started anew: say hello.")), to: peer,
      incarnation: 2)
    #expect(try coordinator.hello().peer == peer)
    try coordinator.welcome(peer, incarnation: 2)
    let (ready, sender) = try coordinator.ready()
    #expect(sender.incarnation == Incarnation(2) && ready.held.isEmpty && ready.idleThreads == 2)
    // The old one's words come late.
    try coordinator.say(.lease(lease(9, slices: SliceRange(first: 0, count: 1))), to: peer, incarnation: 1)
    for _ in 0..<2 { #expect(try coordinator.ready().value.held.isEmpty) }
  }

  @Test("A hello that is refused for now is not repeated at once") func refusedHello() throws {
    let coordinator = try ScriptedCoordinator()
    let worker = try start(coordinator, LogBook())
    defer { worker.requestStop() }
    var hellos = 0
    let end = ContinuousClock.now + .seconds(3)
    while ContinuousClock.now < end, let sender = try? coordinator.hello() {
      hellos += 1
      try coordinator.say(.refusal(Refusal(reason: .unknownPeer, text: "There are 1024 workers.")), to: sender.peer)
    }
    #expect(2...6 ~= hellos, "\(hellos)")
  }
}
