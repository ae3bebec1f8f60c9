import Foundation
import Messages
import Numerics
import Services
import Slices
import TestSupport
import Testing
import Threads
import Wire

@Suite("A worker takes nothing on trust", .timeLimit(.minutes(10))) struct WorkerSessionTests {
  private func start(
    _ coordinator: ScriptedCoordinator, _ book: LogBook, rowCacheBytes: Int = WorkerOptions.rowCacheBytes
  ) throws -> WorkerService {
    let worker = try WorkerService(
      WorkerOptions(
        coordinator: coordinator.control.endpoint, data: nil, threads: 2, security: .none(.loopback),
        probe: SmallRun.probe, name: "test", rowCacheBytes: rowCacheBytes), log: book.log)
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
    let reason = try coordinator.returned().reason
    #expect(
      reason.hasPrefix("the student's weights came from tcp://")
        && reason.hasSuffix("with other bits than were asked for"), "\(reason)")
  }

  /// Serves weights that are all 0, and one picture for all.
  private func serving() throws -> ScriptedCoordinator {
    let run = try SmallRun(pictures: 1)
    let jpeg = try [UInt8](Data(contentsOf: URL(fileURLWithPath: run.path(0))))
    return try ScriptedCoordinator { request in
      switch request {
      case .weights(let network, let step, let offset, let count):
        (.weights(network: network, step: step, offset: offset), .floats(FloatBuffer(count: count), 0..<count))
      case .picture(let index, let offset, _):
        (.picture(index: index, offset: offset, total: jpeg.count), .bytes(Array(jpeg[offset...])))
      case .push(let lease, let offset): offset == 0 ? nil : (.pushed(lease), nil)
      case .rows, .records, .holders, .weightSources, .gradientHashes, .gradient, .sum: nil
      }
    }
  }

  @Test("A result is announced until it is granted, and pushed once") func announcedUntilGranted() throws {
    let coordinator = try serving()
    let worker = try start(coordinator, LogBook())
    defer { worker.requestStop() }
    let peer = try coordinator.hello().peer
    try coordinator.welcome(peer)
    var lease = lease(1, slices: SliceRange(first: 0, count: 2))
    lease.student = FloatBuffer(count: coordinator.definition.layout.count).digest
    lease.teacher = lease.student
    try coordinator.say(.lease(lease), to: peer)
    func finished() throws -> Finished {
      try coordinator.next { if case .finished(let finished) = $0 { finished } else { nil } }.value
    }
    let first = try finished()
    #expect(first.lease == lease.lease && first.slices == lease.slices && first.losses.count == 2)
    for _ in 0..<2 { #expect(try finished() == first) }
    for _ in 0..<2 { try coordinator.say(.grant(lease.lease), to: peer) }
    #expect(try eventually(within: 20) { try coordinator.ready().value.held.isEmpty })
    let asked = coordinator.takeAskedByPeer()
    let pushes = asked.filter { if case .push = $0.request { true } else { false } }
    #expect(
      pushes.map(\.request) == [
        .push(lease: lease.lease, offset: 0), .push(lease: lease.lease, offset: coordinator.definition.layout.count),
      ])
    // Nothing that slices wait for stands in line behind a payload.
    #expect(pushes.allSatisfy { $0.peer == peer })
    #expect(asked.count > pushes.count && asked.filter { $0.peer == peer }.count == pushes.count)
  }

  @Test("Leases that fail one after the other are rested from, and said ever more rarely") func restsAfterFailures()
    throws
  {
    let coordinator = try ScriptedCoordinator { _ in (.unavailable(reason: "not today"), nil) }
    let book = LogBook()
    let worker = try start(coordinator, book)
    defer { worker.requestStop() }
    let peer = try coordinator.hello().peer
    try coordinator.welcome(peer)
    #expect(try coordinator.ready().value.idleThreads == 2)
    for number in 1...8 as ClosedRange<UInt64> {
      try coordinator.say(.lease(lease(number, slices: SliceRange(first: 0, count: 2))), to: peer)
      #expect(try coordinator.returned().lease == LeaseID(number))
    }
    #expect(try coordinator.ready().value.idleThreads == 0)
    let said = book.lines.filter { $0.hasPrefix("Gave lease") }
    #expect(said.count == 4 && said[3].hasPrefix("Gave lease 8 back, the last of 8 in a row: "), "\(said)")
  }

  @Test("A cancelled lease is neither computed further nor announced") func cancelled() throws {
    let coordinator = try serving()
    let worker = try start(coordinator, LogBook())
    defer { worker.requestStop() }
    let peer = try coordinator.hello().peer
    try coordinator.welcome(peer)
    var lease = lease(1, slices: SliceRange(first: 0, count: 2))
    lease.student = FloatBuffer(count: coordinator.definition.layout.count).digest
    lease.teacher = lease.student
    try coordinator.say(.lease(lease), to: peer)
    try coordinator.say(.cancel(lease.lease), to: peer)
    for _ in 0..<4 {
      let word = try coordinator.next { message -> WorkerMessage? in
        if case .hello = message { nil } else { message }
      }.value
      if case .finished = word { Issue.record("\(word)") }
      if case .returned = word { Issue.record("\(word)") }
    }
    let (ready, _) = try coordinator.ready()
    #expect(ready.idleThreads == 2 && ready.held.isEmpty)
  }

  @Test("A coordinator that started anew is greeted, and its leases are not mixed with the old one's")
  func newIncarnation() throws {
    let coordinator = try ScriptedCoordinator()
    let worker = try start(coordinator, LogBook())
    defer { worker.requestStop() }
    let peer = try coordinator.hello().peer
    try coordinator.welcome(peer)
    try coordinator.say(.lease(lease(1, slices: SliceRange(first: 0, count: 2))), to: peer)
    #expect(try eventually(within: 20) { try coordinator.ready().value.held == [LeaseID(1)] })
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

  @Test("Weights that nobody wants any more are not waited for: the next step's are fetched at once")
  func weightsOfAStepThatIsOver() throws {
    let silent = try ScriptedCoordinator()
    let sources = [BulkAddress(endpoint: silent.bulkEndpoint)]
    let coordinator = try ScriptedCoordinator(keys: ["max_steps": "5"]) { request in
      switch request {
      case .weightSources(let step):
        (.weightSources(WeightSources(step: step, sources: sources, hashes: [ContentHash(high: 0, low: 0)])), nil)
      case .weights(.teacher, 1, let offset, let count):
        (.weights(network: .teacher, step: 1, offset: offset), .floats(FloatBuffer(count: count), 0..<count))
      case .weights(_, 1, _, _): (.unavailable(reason: "the newest are of step 2"), nil)
      default: nil
      }
    }
    let worker = try start(coordinator, LogBook())
    defer { worker.requestStop() }
    let peer = try coordinator.hello().peer
    try coordinator.welcome(peer)
    _ = try coordinator.ready()
    var first = lease(1, step: 1, slices: SliceRange(first: 0, count: 2), rows: 6)
    first.exchangesWeights = true
    first.teacher = FloatBuffer(count: coordinator.definition.layout.count).digest
    try coordinator.say(.lease(first), to: peer)
    #expect(eventually(within: 20) { !silent.takeAsked().isEmpty })
    try coordinator.say(.lease(lease(2, step: 2, slices: SliceRange(first: 0, count: 2), rows: 12)), to: peer)
    try coordinator.say(.cancel(first.lease), to: peer)
    let isFetched = eventually(within: 10) {
      coordinator.takeAsked().contains { if case .weights(_, 2, _, _) = $0 { true } else { false } }
    }
    #expect(isFetched, "a source that does not answer is waited for")
  }

  @Test("New rows come with the weights from other workers; what the coordinator's link carries is known before")
  func newRowsOfOthers() throws {
    let rows = FloatBuffer(count: 6 * 16)
    @Sendable func given(_ request: BulkRequest) -> (BulkReply, Bulk?)? {
      guard case .weights(let network, let step, let offset, let count) = request else { return nil }
      return (.weights(network: network, step: step, offset: offset), .floats(FloatBuffer(count: count), 0..<count))
    }
    let sources = try (0..<2).map { _ in try ScriptedCoordinator(answer: given) }
    let addresses = sources.map { BulkAddress(endpoint: $0.bulkEndpoint) }
    let weights = FloatBuffer(count: try ScriptedCoordinator().definition.layout.count)
    let hashes = [weights, rows].flatMap { $0.contentHashes(ofChunks: WireLimits.weightChunkFloats) }
    let coordinator = try ScriptedCoordinator(keys: ["max_steps": "12"]) { request in
      switch request {
      case .weightSources(let step):
        (.weightSources(WeightSources(step: step, sources: addresses, hashes: hashes)), nil)
      case .rows(let asked):
        (asked.reply, .bytes([UInt8](repeating: 0, count: 64 * asked.missing.reduce(0) { $0 + $1.nonzeroBitCount })))
      default: given(request)
      }
    }
    let worker = try start(coordinator, LogBook(), rowCacheBytes: 0)
    defer { worker.requestStop() }
    let peer = try coordinator.hello().peer
    try coordinator.welcome(peer)
    _ = try coordinator.ready()
    var lease = lease(1, step: 3, slices: SliceRange(first: 0, count: 2), rows: 18)
    (lease.student, lease.teacher, lease.exchangesWeights) = (weights.digest, weights.digest, true)
    try coordinator.say(.lease(lease), to: peer)
    var asked: [BulkRequest] = []
    func rowsAsked(ofStep step: Int) -> Int {
      asked.reduce(0) { count, request in
        guard case .rows(let rows) = request, rows.version.step == step else { return count }
        return count + rows.missing.reduce(0) { $0 + $1.nonzeroBitCount }
      }
    }
    let isPrepared = eventually(within: 20) {
      asked += coordinator.takeAsked()
      return rowsAsked(ofStep: 4) == 10
    }
    #expect(isPrepared && rowsAsked(ofStep: 3) == 10, "all 16 but the 6 new ones")
    #expect(sources[0].takeAsked() == [.weights(network: .student, step: 3, offset: 0, count: weights.count)])
    #expect(sources[1].takeAsked() == [.weights(network: .newRows, step: 3, offset: 0, count: rows.count)])
    let teacher = asked.firstIndex { if case .weights(.teacher, 3, _, _) = $0 { true } else { false } }
    let table = asked.firstIndex { if case .weightSources = $0 { true } else { false } }
    #expect(try #require(teacher) < #require(table), "how long the teacher took is how long others may take")
  }

  @Test("Rows that nobody wants any more are not waited for, those gathered ahead neither")
  func rowsOfAStepThatIsOver() throws {
    let coordinator = try ScriptedCoordinator(keys: ["max_steps": "12"]) { request in
      switch request {
      case .weights(let network, let step, let offset, let count):
        return (.weights(network: network, step: step, offset: offset), .floats(FloatBuffer(count: count), 0..<count))
      case .rows(let asked) where asked.version.step == 3:
        let rows = FloatBuffer(count: asked.missing.reduce(0) { $0 + $1.nonzeroBitCount } * 16)
        return (asked.reply, .floats(rows, 0..<rows.count))
      default: return nil
      }
    }
    let worker = try start(coordinator, LogBook(), rowCacheBytes: 0)
    defer { worker.requestStop() }
    let peer = try coordinator.hello().peer
    try coordinator.welcome(peer)
    _ = try coordinator.ready()
    let weights = FloatBuffer(count: coordinator.definition.layout.count).digest
    func areRowsAsked(ofStep step: Int) -> Bool {
      eventually(within: 10) {
        coordinator.takeAsked().contains { if case .rows(let asked) = $0 { asked.version.step == step } else { false } }
      }
    }
    func say(_ number: UInt64, step: Int) throws {
      var lease = lease(number, step: step, slices: SliceRange(first: 0, count: 2), rows: 6 * step)
      (lease.student, lease.teacher) = (weights, weights)
      try coordinator.say(.lease(lease), to: peer)
      if number > 1 { try coordinator.say(.cancel(LeaseID(number - 1)), to: peer) }
    }
    try say(1, step: 3)
    #expect(areRowsAsked(ofStep: 4), "ahead of its step")
    // Nobody gives those of step 4, nor those of step 6.
    try say(2, step: 6)
    #expect(areRowsAsked(ofStep: 6))
    try say(3, step: 8)
    #expect(areRowsAsked(ofStep: 8))
  }
}
