import Foundation
import Messages
import Numerics
import Synchronization
import TestSupport
import Testing
import Threads
import Wire

@Suite("Sockets carry messages, and survive what else comes", .serialized)
struct SocketTests {
  static let loopback = try! Endpoint("tcp://127.0.0.1:0")

  func message(of received: Received?) -> Incoming? {
    if case .message(let incoming)? = received { return incoming }
    return nil
  }

  @Test func aMebibyteGoesAndComesUncopied() throws {
    let context = try Context()
    let router = try RouterSocket(in: context, listeningOn: Self.loopback, for: .bulk, security: .none(.loopback))
    let peer = PeerID(rawValue: 7)
    let dealer = try DealerSocket(
      in: context, as: peer, connectingTo: router.endpoint, for: .bulk, security: .none(.loopback))
    var random = SplitMix64(seed: 4)
    let floats = FloatBuffer((0..<WireLimits.bulkFloats).map { Float($0) })
    let push = Envelope(
      sender: someSender(&random, peer: peer), message: .bulkRequest(.push(lease: LeaseID(3), offset: 0)))
    let outgoing = Outgoing(push, bulk: .floats(floats, 0..<floats.count))
    #expect(try dealer.send(outgoing, timeout: .patience) == .sent)
    let incoming = try #require(message(of: try router.receive(timeout: .patience)))
    #expect(incoming.peer == peer && incoming.envelope == push)
    let copy = FloatBuffer(count: floats.count)
    try #require(incoming.bulk).copy(into: copy, at: 0)
    #expect(copy.digest == floats.digest)

    let reply = Envelope(sender: someSender(&random), message: .bulkReply(.pushed(LeaseID(3))))
    #expect(try router.send(Outgoing(reply, to: peer)) == .sent)
    #expect(try message(of: dealer.receive(timeout: .patience))?.envelope == reply)
    #expect(try router.send(Outgoing(reply, to: PeerID(rawValue: 9))) == .unreachable)
    #expect(try router.receive(timeout: .milliseconds(1)) == nil)

    // Throughput, for people: the router counts what a thread pushes.
    let count = 500
    let start = ContinuousClock.now
    var pushed = 0
    var got = 0
    while got < count {
      while pushed < count, pushed - got < 16, try dealer.send(outgoing) == .sent { pushed += 1 }
      if message(of: try router.receive(timeout: .patience)) != nil { got += 1 }
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    print("loopback bulk: \(Double(count) * Double(WireLimits.bulkBytes) / seconds / 1e9) GB/s at 1 MiB")
  }

  /// libzmq's thread has something to tell of a socket, whose end was closed meanwhile: it must not wait for it.
  @Test func socketsThatEndInTheMiddleOfAConnectionHoldUpNoOther() throws {
    let context = try Context()
    let keyed = try RouterSocket(
      in: context, listeningOn: Self.loopback, for: .control,
      security: .curve(ServerKeys(own: .generate(), allowed: AllowedKeys([]))))
    let open = try RouterSocket(in: context, listeningOn: Self.loopback, for: .control, security: .none(.loopback))
    func dealer(_ endpoint: Endpoint, _ id: UInt64) throws -> DealerSocket {
      try DealerSocket(
        in: context, as: PeerID(rawValue: id), connectingTo: endpoint, for: .control, security: .none(.loopback))
    }
    var random = SplitMix64(seed: 9)
    for id in 1...1000 as ClosedRange<UInt64> {
      // It is refused, and tries again and again.
      let refused = try dealer(keyed.endpoint, id)
      usleep(UInt32.random(in: 0..<1000, using: &random))
      withExtendedLifetime(refused) {}
    }
    let last = try dealer(open.endpoint, 2000)
    let word = Envelope(
      sender: someSender(&random, peer: PeerID(rawValue: 2000)), message: .worker(.statusRequest))
    #expect(try last.send(Outgoing(word), timeout: .seconds(20)) == .sent)
    #expect(try message(of: open.receive(timeout: .seconds(20)))?.envelope == word)
  }

  /// As many as a worker has that fetches from all others.
  @Test func aContextHasRoomForAConnectionToEveryWorker() throws {
    let context = try Context()
    let router = try RouterSocket(in: context, listeningOn: Self.loopback, for: .bulk, security: .none(.loopback))
    let dealers = try (1...400).map { id in
      try DealerSocket(
        in: context, as: PeerID(rawValue: id), connectingTo: router.endpoint, for: .bulk, security: .none(.loopback))
    }
    var random = SplitMix64(seed: 3)
    for dealer in dealers {
      let push = Envelope(sender: someSender(&random), message: .bulkRequest(.weightSources(step: 3)))
      #expect(try dealer.send(Outgoing(push), timeout: .patience) == .sent)
    }
    for _ in dealers { #expect(try router.receive(timeout: .patience) != nil) }
  }

  /// A process that ended earlier would take its goodbye along.
  @Test func aContextEndsOnlyWhenLastWordsHaveLeft() throws {
    let reads = DispatchSemaphore(value: 0)
    let listener = try RawListener { connection in
      connection.shakeHands()
      reads.wait()
      connection.awaitEnd()
    }
    defer { reads.signal() }
    var random = SplitMix64(seed: 5)
    let mebibyte = FloatBuffer(count: WireLimits.bulkFloats)
    let push = Outgoing(
      Envelope(sender: someSender(&random), message: .bulkRequest(.push(lease: LeaseID(3), offset: 0))),
      bulk: .floats(mebibyte, 0..<mebibyte.count))
    let talked = BoundedQueue<ContextEnd>(capacity: 1)
    startThread(named: "talker") {
      // More than the system's buffers hold, so that libzmq still has some of it.
      defer { talked.close() }
      guard let context = try? Context(),
        let dealer = try? DealerSocket(
          in: context, as: PeerID(rawValue: 7), connectingTo: listener.endpoint, for: .bulk,
          security: .none(.loopback)),
        (try? dealer.send(push, timeout: .patience)) == .sent
      else { return }
      while (try? dealer.send(push, timeout: .milliseconds(100))) == .sent {}
      talked.append(context.end)
    }
    let end = try #require(talked.next())
    let left = ContinuousClock.now
    let hasEnded = Atomic<Bool>(false)
    startThread(named: "waiter") {
      end.wait()
      hasEnded.store(true, ordering: .releasing)
    }
    Thread.sleep(forTimeInterval: 0.1)
    // A second is what libzmq waits for who does not read.
    let isEarly = hasEnded.load(ordering: .acquiring) && ContinuousClock.now - left < .milliseconds(900)
    #expect(!isEarly)
    reads.signal()
    end.wait()
  }

  @Test func aMessageSaysWhereItCameFrom() throws {
    let context = try Context()
    let router = try RouterSocket(in: context, listeningOn: Self.loopback, for: .control, security: .none(.loopback))
    let dealer = try DealerSocket(
      in: context, as: PeerID(rawValue: 3), connectingTo: router.endpoint, for: .control, security: .none(.loopback))
    var random = SplitMix64(seed: 9)
    let request = Envelope(sender: someSender(&random, peer: PeerID(rawValue: 3)), message: .worker(.statusRequest))
    #expect(try dealer.send(Outgoing(request), timeout: .patience) == .sent)
    #expect(try message(of: router.receive(timeout: .patience))?.origin == .thisMachine)
  }

  @Test(arguments: [
    ("127.0.0.1", Origin.thisMachine), ("127.8.0.2", .thisMachine), ("::1", .thisMachine),
    ("::ffff:127.0.0.1", .thisMachine), ("", .thisMachine), ("192.0.2.7", .ipv4(0xC000_0207)),
    ("::ffff:192.0.2.7", .ipv4(0xC000_0207)), ("2001:db8:0:7::1", .ipv6(0x2001_0DB8_0000_0007)),
    ("2001:db8:0:7:ffff::2", .ipv6(0x2001_0DB8_0000_0007)), ("fe80::1%eth0", .ipv6(0xFE80_0000_0000_0000)),
    ("::192.0.2.7", .ipv6(0)),
  ])
  func anAddressHasAnOrigin(address: String, origin: Origin) { #expect(Origin(address: address) == origin) }

  @Test func originsAreNamed() {
    #expect(
      ["127.0.0.1", "192.0.2.7", "2001:db8:0:7::1"].map { "\(Origin(address: $0))" } == [
        "this machine", "192.0.2.7", "2001:db8:0:7::/64",
      ])
  }

  @Test func whoseConnectionEndedIsTold() throws {
    let context = try Context()
    let router = try RouterSocket(in: context, listeningOn: Self.loopback, for: .control, security: .none(.loopback))
    let (first, second) = (PeerID(rawValue: 1), PeerID(rawValue: 2))
    var random = SplitMix64(seed: 8)
    func request(_ peer: PeerID) -> [UInt8] {
      Envelope(sender: someSender(&random, peer: peer), message: .worker(.statusRequest)).encoded()
    }
    var older: RawPeer? = try RawPeer(to: router.endpoint)
    older?.shakeHands(as: first)
    older?.send(frame: request(first))
    #expect(try message(of: router.receive(timeout: .patience))?.peer == first)
    // Its last words may be heard before its end is told, after it, or never.
    older?.send(frame: request(first))
    older = nil
    var last: PeerID?
    while let received = try router.receive(timeout: last == nil ? .patience : .milliseconds(200)) {
      last = if case .disconnected(let peer) = received { peer } else { nil }
    }
    #expect(last == first)

    let other = try RawPeer(to: router.endpoint)
    other.shakeHands(as: second)
    other.send(frame: request(second))
    #expect(try message(of: router.receive(timeout: .patience))?.peer == second)
    withExtendedLifetime(other) {}
  }

  @Test func aDealerTellsThatItsConnectionEnded() throws {
    let context = try Context()
    var router: RouterSocket? = try RouterSocket(
      in: context, listeningOn: Self.loopback, for: .control, security: .none(.loopback))
    let dealer = try DealerSocket(
      in: context, as: PeerID(rawValue: 3), connectingTo: #require(router?.endpoint), for: .control,
      security: .none(.loopback))
    var random = SplitMix64(seed: 9)
    let request = Envelope(sender: someSender(&random, peer: PeerID(rawValue: 3)), message: .worker(.statusRequest))
    #expect(try dealer.send(Outgoing(request), timeout: .patience) == .sent)
    #expect(try message(of: router?.receive(timeout: .patience))?.envelope == request)
    router = nil
    guard case .disconnected(nil)? = try dealer.receive(timeout: .patience) else {
      Issue.record("a lost connection is not told")
      return
    }
  }

  /// libzmq rounds times to whole milliseconds, now and then downwards.
  @Test func aWaitLastsAsLongAsItWasAskedFor() throws {
    let context = try Context()
    let router = try RouterSocket(in: context, listeningOn: Self.loopback, for: .control, security: .none(.loopback))
    let dealer = try DealerSocket(
      in: context, as: PeerID(rawValue: 3), connectingTo: router.endpoint, for: .control, security: .none(.loopback))
    let sockets: [any MessageSocket] = [router, dealer]
    for round in 0..<400 {
      let begun = ContinuousClock.now
      #expect(try sockets[round % 2].receive(timeout: .milliseconds(2)) == nil)
      #expect(ContinuousClock.now - begun >= .milliseconds(2))
    }
  }

  @Test func aPortInUseIsNamed() throws {
    let context = try Context()
    let first = try RouterSocket(in: context, listeningOn: Self.loopback, for: .control, security: .none(.loopback))
    #expect(throws: WireError.addressInUse(first.endpoint)) {
      try RouterSocket(in: context, listeningOn: first.endpoint, for: .control, security: .none(.loopback))
    }
  }

  @Test(arguments: [
    "udp://a:1", "tcp://a", "tcp://a:", "tcp://:1", "tcp://a:65536", "tcp://a:x", "tcp://::1:5", "tcp://[::1:5",
  ])
  func badEndpointsAreNamed(text: String) {
    #expect(throws: BadEndpoint.self) { try Endpoint(text) }
  }

  @Test func aSocketThreadAnswersAndStops() throws {
    let context = try Context()
    let router = try RouterSocket(in: context, listeningOn: Self.loopback, for: .control, security: .none(.loopback))
    let dealer = try DealerSocket(
      in: context, as: PeerID(rawValue: 8), connectingTo: router.endpoint, for: .control, security: .none(.loopback))
    var random = SplitMix64(seed: 6)
    let answer = Envelope(sender: someSender(&random), message: .coordinator(.heartbeat(step: 3)))
    let thread = try SocketThread(named: "router", owning: router, outboxCapacity: 4, tick: .milliseconds(50)) {
      event, router in
      if case .received(.message(let incoming)) = event { _ = try? router.send(Outgoing(answer, to: incoming.peer)) }
    }
    let ready = Envelope(
      sender: someSender(&random, peer: PeerID(rawValue: 8)),
      message: .worker(.ready(Ready(idleThreads: 1, held: []))))
    #expect(try dealer.send(Outgoing(ready), timeout: .patience) == .sent)
    #expect(try message(of: dealer.receive(timeout: .patience))?.envelope == answer)
    #expect(thread.send(Outgoing(answer, to: PeerID(rawValue: 8))))
    #expect(try message(of: dealer.receive(timeout: .patience))?.envelope == answer)
    thread.stop()
    #expect(!thread.send(Outgoing(answer, to: PeerID(rawValue: 8))))
  }
}
