import Messages
import TestSupport
import Testing
import Wire

@Suite("A name is all of its addresses, and what cannot be reached is said", .serialized)
struct AddressTests {
  static let addresses = try! ["tcp://[::1]:7", "tcp://127.0.0.1:7", "tcp://10.0.0.1:7"].map { try Endpoint($0) }
  let context: Context

  init() throws { context = try Context() }

  private func router(_ endpoint: String) throws -> RouterSocket {
    try RouterSocket(in: context, listeningOn: Endpoint(endpoint), for: .control, security: .none(.loopback))
  }

  private func dealer(_ endpoint: Endpoint, id: UInt64 = 1) throws -> DealerSocket {
    try DealerSocket(
      in: context, as: PeerID(rawValue: id), connectingTo: endpoint, for: .control, security: .none(.loopback))
  }

  /// Whether a message gets there. The socket's own thread would look as often.
  private func arrives(_ dealer: DealerSocket, at router: RouterSocket, id: UInt64 = 1) throws -> Bool {
    var random = SplitMix64(seed: id)
    let question = Outgoing(
      Envelope(sender: someSender(&random, peer: PeerID(rawValue: id)), message: .worker(.statusRequest)))
    let deadline = ContinuousClock.now + .patience
    while try dealer.send(question, timeout: .milliseconds(20)) != .sent {
      guard ContinuousClock.now < deadline else { return false }
      _ = try dealer.receive(timeout: .milliseconds(20))
    }
    guard case .message(let incoming)? = try router.receive(timeout: .patience) else { return false }
    return incoming.peer == PeerID(rawValue: id)
  }

  @Test func eachAddressHasItsTurnAndThenAllWait() {
    var round = AddressRound(Self.addresses)
    var seen: [Endpoint] = []
    var pauses: [Duration] = []
    for _ in 0..<9 {
      seen.append(round.current)
      if let pause = round.failed() { pauses.append(pause) }
    }
    #expect(seen == Self.addresses + Self.addresses + Self.addresses)
    #expect(pauses == [.milliseconds(100), .milliseconds(200), .milliseconds(400)])
    for _ in 0..<60 { if let pause = round.failed() { pauses.append(pause) } }
    #expect(pauses.last == .seconds(5), "no busy loop where nobody listens")
    round.succeeded()
    #expect(round.failed() == nil && round.failed() == nil && round.failed() == .milliseconds(100))
    round.begin(Self.addresses, first: Self.addresses[2])
    #expect(round.current == Self.addresses[2] && round.addresses.count == 3)
  }

  @Test func whoListensAtOneAddressIsReachedByTheNameOfTwo() throws {
    let router = try router("tcp://127.0.0.1:0")
    let name = try Endpoint("tcp://localhost:\(router.endpoint.port)")
    let dealer = try dealer(name)
    #expect(try arrives(dealer, at: router))
    #expect(dealer.connected == router.endpoint)
  }

  @Test func aNameIsListenedToAtEachOfItsAddresses() throws {
    let router = try router("tcp://localhost:0")
    #expect(router.endpoint.host == "localhost" && router.endpoint.port > 0)
    let bound = try router.endpoint.addresses().filter { address in
      !router.unbound.contains { if case .cannotBind(address, _) = $0 { true } else { false } }
    }
    #expect(!bound.isEmpty)
    for (id, address) in bound.enumerated() {
      #expect(try arrives(dealer(address, id: UInt64(id) + 1), at: router, id: UInt64(id) + 1), "\(address)")
    }
  }

  @Test func aNameThatNobodyKnowsIsSaidToBeUnknown() throws {
    let endpoint = try Endpoint("tcp://no-such-host.invalid:5570")
    guard case .malformed(nil, let error, _)? = try dealer(endpoint).receive(timeout: .patience) else {
      Issue.record("silence")
      return
    }
    #expect("\(error)".hasPrefix("The host 'no-such-host.invalid' is unknown: "), "\(error)")
    #expect(throws: WireError.self) { try router("tcp://no-such-host.invalid:0") }
  }

  @Test func addressesThatWereTriedInVainAreSaid() throws {
    // Nobody listens at port 1.
    let endpoint = try Endpoint("tcp://localhost:1")
    guard case .malformed(nil, let error, _)? = try dealer(endpoint).receive(timeout: .patience) else {
      Issue.record("silence")
      return
    }
    #expect(error == .noConnection(endpoint, tried: try endpoint.addresses()))
    #expect("\(error)".contains("tcp://127.0.0.1:1"))
  }

  @Test func whoWantsAKeySaysSoEachTime() throws {
    let keyed = try RouterSocket(
      in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .control,
      security: .curve(ServerKeys(own: .generate(), allowed: AllowedKeys([]))))
    // libzmq hangs up on whoever has none before it has said so, now and then.
    for id in 1...20 {
      guard
        case .malformed(nil, let error, _)? = try dealer(keyed.endpoint, id: UInt64(id)).receive(timeout: .patience)
      else {
        Issue.record("silence")
        return
      }
      #expect(error == .handshakeFailed(keyed.endpoint, .coordinatorWantsKeys))
      #expect("\(error)".contains("wants a key. Give --key") && "\(error)".contains("--coordinator-key"))
    }
  }

  @Test(arguments: [
    ("tcp://127.0.0.1:7", ["127.0.0.1"]), ("tcp://127.0.0.9:7", ["127.0.0.1"]), ("tcp://[::1]:7", ["::1"]),
    ("tcp://localhost:7", ["127.0.0.1", "::1"]),
  ]) func thisMachinesOwnAddressIsTheOneOnTheWay(there: String, own: [String]) throws {
    let local = try #require(try Endpoint(there).localAddress())
    #expect(own.contains(local.host) && local.port == 7)
  }

  @Test func withoutAWayThereIsNoOwnAddress() throws {
    // Multicast needs an interface of its own, and broadcast a permission.
    #expect(try Endpoint("tcp://255.255.255.255:7").localAddress() == nil)
    #expect(throws: WireError.self) { try Endpoint("tcp://no-such-host.invalid:7").localAddress() }
  }
}
