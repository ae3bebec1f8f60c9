import Coordination
import Messages
import Numerics
import Slices
import TestSupport
import Testing
import Wire

@Suite("Whatever strangers say in the middle of a run, it ends with the bits of a calm one")
struct FuzzTests {
  /// Strangers say so much in one run, then it must finish.
  private static let messagesOfARun = 100
  /// One that said so much gives way to another: after more bad messages it would not be listened to any more.
  private static let messagesOfAStranger = 12

  /// A run of simulated workers, and a peer that says mutated things, in its own name, with leases that it got.
  private struct World {
    var simulation: Simulation
    var stranger = PeerID(rawValue: 1)
    var leases: [Lease] = []
    var said = 0

    init(_ random: inout SplitMix64) {
      var faults = Faults.none
      faults.loss = 0.05
      simulation = Simulation(seed: random.next(below: 1000), workers: 3, faults: faults)
    }

    var sender: Sender { Sender(run: Simulation.run, incarnation: simulation.incarnation, peer: stranger) }

    /// Time passes; now and then another stranger comes and gets work as any worker does.
    mutating func goOn(_ random: inout SplitMix64) {
      simulation.run(toStep: nil, eventsAtMost: 1 + random.below(12))
      if said % FuzzTests.messagesOfAStranger == 0 {
        stranger = PeerID(rawValue: random.next() | 1)
        leases = []
        let hello = Hello(protocolVersion: 1, name: "stranger", threads: 4, probe: Simulation.probe)
        simulation.tell(.message(.hello(hello), from: sender))
        simulation.tell(.message(.ready(Ready(idleThreads: 4, held: [])), from: sender))
      }
      for case .lease(let lease) in simulation.saidToStrangers { leases.append(lease) }
      simulation.saidToStrangers = []
      said += 1
    }

    /// Half of the messages are about what the stranger really has in its hands, else no lease would be met.
    mutating func say(_ message: Message, as claimed: Sender, _ random: inout SplitMix64) {
      let sender = random.chance(0.8) ? sender : claimed
      let lease = leases.isEmpty || random.chance(0.5) ? nil : leases[random.below(leases.count)]
      switch message {
      case .worker(.finished(var finished)):
        if let lease {
          (finished.lease, finished.step) = (lease.lease, lease.step)
          if random.chance(0.7) { finished.slices = lease.slices }
        }
        simulation.tell(.message(.finished(finished), from: sender))
        // What it sends is never what it announced.
        if let lease, simulation.coordinator.expected[lease.lease] != nil {
          simulation.tell(random.chance(0.5) ? .pushArrived(lease.lease, .damaged) : .pushProgressed(lease.lease))
        }
      case .worker(.returned(var returned)):
        if let lease { returned.lease = lease.lease }
        simulation.tell(.message(.returned(returned), from: sender))
      case .worker(let message): simulation.tell(.message(message, from: sender))
      case .shard(let message): simulation.tell(.shardMessage(message, from: sender))
      case .coordinator, .bulkRequest, .bulkReply:
        simulation.tell(.malformed(from: sender.peer, reason: "not a worker's message"))
      }
    }

    /// Without strangers from now on.
    mutating func finish() throws {
      simulation.stopFaults()
      simulation.run(toStep: nil, eventsAtMost: 60_000)
      try check()
      guard simulation.isRight else {
        throw Fuzzing.Mistake("run \(simulation.seed): \(simulation.unfinished ?? "has other bits than a calm one")")
      }
    }

    func check() throws {
      if let broken = simulation.broken { throw Fuzzing.Mistake("run \(simulation.seed): \(broken)") }
    }
  }

  private static let corpus: [[UInt8]] = {
    let sender = Sender(run: Simulation.run, incarnation: Incarnation(1), peer: PeerID(rawValue: 3))
    let losses = [SliceLoss(consistency: 1, koleo: 0, targetEntropy: 1)]
    let messages: [Message] = [
      .worker(.hello(Hello(protocolVersion: 1, name: "stranger", threads: 4, probe: Simulation.probe))),
      .worker(.ready(Ready(idleThreads: 4, held: []))),
      .worker(.ready(Ready(idleThreads: 1, held: [LeaseID(1), LeaseID(2), LeaseID(7)]))),
      .worker(
        .finished(
          Finished(
            lease: LeaseID(1), step: 0, slices: SliceRange(first: 0, count: 1), payload: Digest(high: 1, low: 2),
            payloadCount: 110, losses: losses, undecodable: []))),
      .worker(
        .finished(
          Finished(
            lease: LeaseID(5), step: 1, slices: SliceRange(first: 0, count: 2), payload: Digest(high: 1, low: 2),
            payloadCount: 120, losses: losses + losses, undecodable: [UndecodablePicture(picture: 3, reason: "no JPEG")]
          ))
      ),
      .worker(.returned(Returned(lease: LeaseID(2), reason: "read error"))),
      .worker(.statusRequest), .worker(.memoryRequest), .worker(.drainRequest(shard: "shard")),
      .worker(.stayRequest(shard: "shard")), .worker(.goodbye),
      .shard(.goodbye), .coordinator(.finished),
    ]
    return messages.map { Envelope(sender: sender, message: $0).encoded() }
  }()

  @Test func messagesToACoordinator() {
    var start = SplitMix64(seed: 1)
    var world = World(&start)
    let report = Fuzzing("messages in mid-run", percent: 5, filter: "CoordinationTests.FuzzTests").run(
      corpus: Self.corpus, refusing: { $0 is WireError }
    ) { input, random in
      if world.said == Self.messagesOfARun {
        let ended = world
        world = World(&random)
        var last = ended
        try last.finish()
      }
      world.goOn(&random)
      do {
        let envelope = try Envelope(decoding: input)
        world.say(envelope.message, as: envelope.sender, &random)
      } catch let error as WireError {
        world.simulation.tell(.malformed(from: world.stranger, reason: error.description))
        try world.check()
        throw error
      }
      try world.check()
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.accepted > 0 && report.refused > report.accepted / 4)
  }
}
