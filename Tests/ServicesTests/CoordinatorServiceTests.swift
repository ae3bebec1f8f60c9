import Checkpoints
import Configuration
import Coordination
import Durability
import Foundation
import MemoryBank
import Messages
import Numerics
import Services
import Slices
import Synchronization
import TestSupport
import Testing
import Threads
import Training
import Vision
import Wire

/// A worker that answers leases with made-up payloads.
private final class MadeUpWorker {
  let control: DealerSocket
  let definition: RunDefinition
  private var bulk: DealerSocket?
  private let context: Context
  private let peer: PeerID
  private var sender: Sender
  private var sums: [LeaseID: SliceSum] = [:]
  private let loss: (_ step: Int, _ slice: Int) -> Double

  init(
    _ service: CoordinatorService, probe: Digest, loss: @escaping (_ step: Int, _ slice: Int) -> Double = { Double($1) }
  ) throws {
    self.loss = loss
    context = try Context()
    definition = service.definition
    peer = PeerID(rawValue: .random(in: 1 ... .max))
    sender = Sender(run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(0), peer: peer)
    control = try DealerSocket(
      in: context, as: peer, connectingTo: service.endpoint, for: .control, security: .none(.loopback))
    try say(.hello(Hello(protocolVersion: WireLimits.protocolVersion, name: "made up", threads: 1, probe: probe)))
  }

  private func say(_ message: WorkerMessage) throws {
    _ = try control.send(Outgoing(Envelope(sender: sender, message: .worker(message))), timeout: .patience)
  }

  /// Works until the run is over, or the coordinator is.
  func work(while isRunning: () -> Bool = { true }) throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < deadline {
      guard isRunning() else { return }
      guard case .message(let incoming)? = try control.receive(timeout: .milliseconds(200)),
        case .coordinator(let message) = incoming.envelope.message
      else {
        if bulk != nil { try say(.ready(Ready(idleThreads: 1, held: Array(sums.keys)))) }
        continue
      }
      switch message {
      case .welcome(let welcome):
        sender.run = incoming.envelope.sender.run
        sender.incarnation = incoming.envelope.sender.incarnation
        bulk = try DealerSocket(
          in: context, as: peer, connectingTo: control.endpoint.withPort(welcome.bulkPort), for: .bulk,
          security: .none(.loopback))
        try say(.ready(Ready(idleThreads: 1, held: [])))
      case .lease(let lease): try answer(lease)
      case .grant(let lease, _): try push(lease)
      case .finished:
        try say(.goodbye)
        return
      default: break
      }
    }
    Issue.record("the run did not end")
  }

  private func answer(_ lease: Lease) throws {
    // The weights that are served are those that the lease names.
    let student = FloatBuffer(count: definition.layout.count)
    var offset = 0
    while offset < student.count {
      let count = min(WireLimits.bulkFloats, student.count - offset)
      let reply = try ask(.weights(network: .student, step: lease.step, offset: offset, count: count))
      reply.bulk?.copy(into: student, at: offset)
      offset += count
    }
    #expect(student.digest == lease.student)

    let sum = SliceSum(
      slices: lease.slices, gradient: FloatBuffer(count: definition.layout.count),
      tail: FloatBuffer(count: lease.slices.count * definition.floatsPerSlice),
      losses: lease.slices.indices.map { SliceLoss(consistency: loss(lease.step, $0), koleo: 0, targetEntropy: 1) },
      chosen: SlotMarks(size: definition.configuration.memorySize).bytes, undecodable: [])
    for index in 0..<sum.gradient.count { sum.gradient[index] = Float((index + lease.step) % 7) * 1e-3 }
    for index in 0..<sum.tail.count { sum.tail[index] = Float((lease.slices.first + lease.step + index) % 5) }
    sums[lease.lease] = sum
    try say(
      .finished(
        Finished(
          lease: lease.lease, step: lease.step, slices: lease.slices, payload: sum.payloadDigest,
          payloadCount: sum.payloadCount, losses: sum.losses, chosen: sum.chosen, undecodable: [])))
    try say(.ready(Ready(idleThreads: 1, held: Array(sums.keys))))
  }

  private func ask(_ request: BulkRequest, bulk frame: Bulk? = nil) throws -> Incoming {
    let exchange = UInt64.random(in: 1 ... .max)
    let envelope = Envelope(sender: sender, message: .bulkRequest(request), exchange: exchange)
    #expect(try bulk?.send(Outgoing(envelope, bulk: frame), timeout: .patience) == .sent)
    while case .message(let incoming)? = try bulk?.receive(timeout: .patience) {
      if incoming.envelope.exchange == exchange { return incoming }
    }
    throw WireError.closed
  }

  private func push(_ lease: LeaseID) throws {
    guard let sum = sums.removeValue(forKey: lease) else { return }
    var offset = 0
    for part in [sum.gradient, sum.tail] {
      var start = 0
      while start < part.count {
        let end = min(part.count, start + WireLimits.bulkFloats)
        let isLast = offset + end - start == sum.payloadCount
        let request = BulkRequest.push(lease: lease, offset: offset)
        if isLast {
          let reply = try ask(request, bulk: .floats(part, start..<end))
          #expect(reply.envelope.message == .bulkReply(.pushed(lease)))
        } else {
          let envelope = Envelope(sender: sender, message: .bulkRequest(request))
          _ = try bulk?.send(Outgoing(envelope, bulk: .floats(part, start..<end)), timeout: .patience)
        }
        offset += end - start
        start = end
      }
    }
  }
}

@Suite("The coordinator carries a run to its end") struct CoordinatorServiceTests {
  /// Runs to the end with one worker; the last digests of weights and memory, and the steps reported.
  private static func run(_ options: CoordinatorOptions) throws -> (
    reason: CoordinatorService.Outcome, steps: [Int], resumed: Int
  ) {
    let service = try SmallRun.opened(options)
    let worker = try MadeUpWorker(service, probe: SmallRun.probe)
    let steps = Mutex<[Int]>([])
    let reasons = BoundedQueue<Result<CoordinatorService.Outcome, any Error>>(capacity: 1)
    startThread(named: "service") {
      reasons.append(Result { try service.run { report in steps.withLock { $0.append(report.record.step) } } })
    }
    try worker.work()
    let reason = try #require(try reasons.handedOver()).get()
    return (reason, steps.withLock { $0 }, service.resumedStep)
  }

  @Test("A run that is stopped and resumed has the weights and memory of one that is not") func resumes() throws {
    let (whole, parted) = (try SmallRun(), try SmallRun())
    let uninterrupted = try Self.run(whole.options(["max_steps": "6"]))
    #expect(uninterrupted.reason == .finished && uninterrupted.steps == Array(1...6))
    // max_steps may be raised, after a run that ended by it too.
    #expect(try Self.run(parted.options(["max_steps": "3"])).steps == [1, 2, 3])
    let rest = try Self.run(parted.options(["max_steps": "6"]))
    #expect(rest.reason == .finished && rest.steps == [4, 5, 6] && rest.resumed == 3)
    #expect(try whole.digests(step: 6) == parted.digests(step: 6))
  }

  @Test("Checkpoints say which probe workers had, and a coordinator that rounds otherwise says so") func notesTheProbe()
    throws
  {
    let run = try SmallRun()
    var options = try run.options(["max_steps": "3"])
    // Its machine cannot compute: the first worker's counts.
    options.probe = nil
    #expect(try Self.run(options).reason == .finished)
    func warnings(_ probe: Digest) throws -> [String] {
      var options = try run.options(["max_steps": "6"])
      options.probe = probe
      let book = LogBook()
      _ = try SmallRun.opened(options, log: book.log)
      return book.lines.filter { $0.contains("workers' probe was") }
    }
    #expect(try warnings(SmallRun.probe).isEmpty)
    let other = Digest(high: 9, low: 9)
    let said = try warnings(other)
    #expect(said.count == 1)
    #expect(said[0].contains("Until step 3 workers' probe was \(SmallRun.probe), and this machine's is \(other)"))
  }

  @Test("On one machine a taken port beside the control socket's stops nobody") func takenNeighbour() throws {
    let context = try Context()
    let taken = try RouterSocket(
      in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .bulk, security: .none(.loopback))
    let run = try SmallRun()
    var options = try run.options()
    options.listen = taken.endpoint.withPort(taken.endpoint.port - 1)
    #expect(try SmallRun.opened(options).endpoint == options.listen)
  }

  @Test("Who says twice that a loss is not finite, which the coordinator finds finite, is quarantined; the run goes on")
  func notFinite() throws {
    let run = try SmallRun()
    let book = LogBook()
    let service = try SmallRun.opened(run.options(), log: book.log)
    let result = BoundedQueue<Result<CoordinatorService.Outcome, any Error>>(capacity: 1)
    startThread(named: "service") { result.append(Result { try service.run { _ in } }) }
    let worker = try MadeUpWorker(service, probe: SmallRun.probe) { step, slice in
      step == 2 && slice == 1 ? .nan : 1
    }
    try worker.work { !book.lines.contains { $0.contains("is quarantined") } }
    #expect(book.lines.count { $0.contains("slice 1 of step 2 was not finite from 'made up', and is finite as") } == 1)
    #expect(try service.directory.quarantine().hosts.map(\.host) == ["made up"])
    service.requestStop()
    #expect(try result.handedOver()?.get() == .requested)
    #expect(try run.digests(step: 2).count == 3)
  }

  @Test("A coordinator whose lock is gone stops, and leaves the run to the one that has it") func losesItsLock() throws
  {
    let run = try SmallRun()
    let old = try SmallRun.opened(run.options())
    let result = BoundedQueue<Result<CoordinatorService.Outcome, any Error>>(capacity: 1)
    startThread(named: "service") { result.append(Result { try old.run { _ in } }) }
    let lock = "\(run.folder)/run/coordinator.lock"
    try FileManager.default.removeItem(atPath: lock)
    let new = try SmallRun.opened(run.options())
    #expect(throws: RunFailure.retryable("\(DurabilityError.lockLost(path: lock))")) { try result.handedOver()?.get() }
    #expect(new.incarnation.number == old.incarnation.number + 1)
    let address = try String(contentsOfFile: "\(run.folder)/run/coordinator.address", encoding: .utf8)
    #expect(address == "\(new.endpoint)\n")
    #expect(throws: DurabilityError.lockLost(path: lock)) { try old.directory.checkpoints().recover() }
  }

  @Test("A coordinator that another overtook stops, to be tried again, also where a step's rows find it out first")
  func isOvertaken() throws {
    let run = try SmallRun()
    let service = try SmallRun.opened(run.options(["max_steps": "200"]))
    let record = "\(run.folder)/run/incarnation.json"
    let isOver = Atomic<Bool>(false)
    let result = BoundedQueue<Result<CoordinatorService.Outcome, any Error>>(capacity: 1)
    startThread(named: "service") {
      result.append(
        Result {
          try service.run { report in
            if report.record.step == 2 { try? Data("another's".utf8).write(to: URL(fileURLWithPath: record)) }
          }
        })
      isOver.store(true, ordering: .releasing)
    }
    try MadeUpWorker(service, probe: SmallRun.probe).work { !isOver.load(ordering: .acquiring) }
    #expect(throws: RunFailure.retryable("\(DurabilityError.overtaken(record: record))")) {
      try result.handedOver()?.get()
    }
  }

  @Test("A run is not resumed with another seed, and the error says which one it has") func refusesOtherSeed() throws {
    let run = try SmallRun()
    // Not held on to: a second one finds the directory locked.
    _ = try SmallRun.opened(run.options())
    #expect {
      try SmallRun.opened(run.options(["seed": "5"]))
    } throws: { error in
      "\(error)"
        == "\(run.folder)/run was started with seed 0, not 5. Give seed 0 to resume it, or another --run to start afresh."
    }
  }
}
