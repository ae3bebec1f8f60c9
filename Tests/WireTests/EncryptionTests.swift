import Foundation
import Messages
import TestSupport
import Testing
import Wire

@Suite("Only known keys get in, each under its own id, and both sides say why not", .serialized)
struct EncryptionTests {
  let context: Context
  let server: KeyPair
  let friend: KeyPair
  let stranger: KeyPair
  let allowed: AllowedKeys
  let router: RouterSocket

  init() throws {
    context = try Context()
    (server, friend, stranger) = (try .generate(), try .generate(), try .generate())
    allowed = AllowedKeys([friend.publicKey])
    router = try RouterSocket(
      in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .control,
      security: .curve(ServerKeys(own: server, allowed: allowed)))
  }

  func dealer(_ keys: KeyPair, _ id: UInt64, server: PublicKey? = nil) throws -> DealerSocket {
    try DealerSocket(
      in: context, as: PeerID(rawValue: id), connectingTo: router.endpoint, for: .control,
      security: .curve(ClientKeys(own: keys, server: server ?? self.server.publicKey)))
  }

  func request(_ id: UInt64) -> Outgoing {
    var random = SplitMix64(seed: id)
    return Outgoing(
      Envelope(sender: someSender(&random, peer: PeerID(rawValue: id)), message: .worker(.statusRequest)))
  }

  /// The next thing that comes is a complaint; nobody is blamed for it.
  func complaint(_ socket: some MessageSocket) throws -> WireError? {
    guard case .malformed(nil, let error, _)? = try socket.receive(timeout: .patience) else {
      Issue.record("no complaint")
      return nil
    }
    return error
  }

  /// Connections that end are of no interest.
  func heard(_ id: UInt64) throws -> Bool {
    while let received = try router.receive(timeout: .seconds(5)) {
      switch received {
      case .message(let incoming): return incoming.peer == PeerID(rawValue: id)
      case .disconnected: continue
      case .malformed: return false
      }
    }
    return false
  }

  @Test func whoHasAKeyComesFromThere() throws {
    let worker = try dealer(friend, 1)
    #expect(try worker.send(request(1), timeout: .patience) == .sent)
    guard case .message(let incoming)? = try router.receive(timeout: .patience) else {
      Issue.record("nothing came")
      return
    }
    #expect(incoming.origin == .key(friend.publicKey))
  }

  @Test func aStrangerIsNamedOnBothSidesAndComesInOnceAllowed() throws {
    let worker = try dealer(stranger, 1)
    let own = try complaint(worker)
    #expect(own == .handshakeFailed(router.endpoint, .ownKeyRefused(stranger.publicKey)))
    #expect(own?.description.contains("Add \(stranger.publicKey) to the coordinator's file") == true)
    #expect(
      try complaint(router)
        == .handshakeFailed(router.endpoint, .keyNotAllowed(stranger.publicKey, from: "127.0.0.1")))
    #expect(try worker.send(request(1)) == .noRoom)
    // libzmq never tries again after a refusal: the socket does.
    allowed.replace(with: [friend.publicKey, stranger.publicKey])
    #expect(try worker.receive(timeout: .seconds(3)) == nil)
    #expect(try worker.send(request(1), timeout: .patience) == .sent)
    #expect(try heard(1))
  }

  @Test func anotherCoordinatorsKeyIsSaidOnBothSides() throws {
    let worker = try dealer(friend, 1, server: stranger.publicKey)
    #expect(
      try complaint(worker) == .handshakeFailed(router.endpoint, .hungUp(expecting: stranger.publicKey)))
    #expect(try complaint(router) == .handshakeFailed(router.endpoint, .otherCoordinatorKey))
  }

  @Test func keysOnOneSideOnlyAreSaidOnBothSides() throws {
    let plainWorker = try DealerSocket(
      in: context, as: PeerID(rawValue: 1), connectingTo: router.endpoint, for: .control, security: .none(.loopback))
    #expect(try complaint(plainWorker) == .handshakeFailed(router.endpoint, .coordinatorWantsKeys))
    #expect(try complaint(router) == .handshakeFailed(router.endpoint, .peerWithoutKeys))

    let plainRouter = try RouterSocket(
      in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .control, security: .none(.loopback))
    let worker = try DealerSocket(
      in: context, as: PeerID(rawValue: 1), connectingTo: plainRouter.endpoint, for: .control,
      security: .curve(ClientKeys(own: friend, server: server.publicKey)))
    #expect(try complaint(worker) == .handshakeFailed(plainRouter.endpoint, .coordinatorWithoutKeys))
    #expect(try complaint(plainRouter) == .handshakeFailed(plainRouter.endpoint, .peerWantsKeys))
  }

  @Test func nobodySpeaksUnderAnotherKeysId() throws {
    allowed.replace(with: [friend.publicKey, stranger.publicKey])
    do {
      let worker = try dealer(friend, 1)
      #expect(try worker.send(request(1), timeout: .patience) == .sent)
      #expect(try heard(1))
      let thief = try dealer(stranger, 1)
      #expect(try thief.send(request(1), timeout: .patience) == .sent)
      #expect(try complaint(router) == .otherKey(peer: PeerID(rawValue: 1), key: "\(stranger.publicKey)"))
      // Said once, however often he tries.
      for _ in 0..<20 { #expect(try thief.send(request(1), timeout: .patience) == .sent) }
      #expect(try worker.send(request(1), timeout: .patience) == .sent)
      #expect(try heard(1))
      #expect(try router.receive(timeout: .milliseconds(300)) == nil)
      // Nor does he hear what is sent to it.
      var random = SplitMix64(seed: 3)
      let lease = Envelope(sender: someSender(&random), message: .coordinator(.heartbeat(step: 5)))
      #expect(try router.send(Outgoing(lease, to: PeerID(rawValue: 1))) == .sent)
      guard case .message(let incoming)? = try worker.receive(timeout: .patience) else {
        Issue.record("what is sent to a peer does not arrive there")
        return
      }
      #expect(incoming.envelope == lease)
      #expect(try thief.receive(timeout: .milliseconds(1)) == nil)
    }
    // Once the end of its connection is known here it may speak over another one.
    let again = try dealer(friend, 1)
    let deadline = ContinuousClock.now + .patience
    var isHeard = false
    while !isHeard, ContinuousClock.now < deadline {
      #expect(try again.send(request(1), timeout: .patience) == .sent)
      isHeard = try heard(1)
    }
    #expect(isHeard)
  }

  @Test func aKeyThatWasTakenBackIsRefusedOnAStandingConnection() throws {
    let worker = try dealer(friend, 2)
    #expect(try worker.send(request(2), timeout: .patience) == .sent)
    #expect(try heard(2))
    allowed.replace(with: [])
    #expect(try worker.send(request(2), timeout: .patience) == .sent)
    guard case .malformed(PeerID(rawValue: 2)?, .keyNotAllowed, _)? = try router.receive(timeout: .patience) else {
      Issue.record("a revoked key still gets through")
      return
    }
  }

  @Test func aKeyWithManyIdsLosesItsOwnOldestOnly() {
    var peers = PeerKeys()
    var claimed = peers.claim(PeerID(rawValue: 0), with: friend.publicKey)
    for id in 1...UInt64(PeerKeys.idsPerKey + 10) {
      claimed = peers.claim(PeerID(rawValue: id), with: stranger.publicKey) && claimed
    }
    #expect(claimed && peers.count == PeerKeys.idsPerKey + 1)
    let stolen = peers.claim(PeerID(rawValue: 0), with: stranger.publicKey)
    #expect(!stolen)
    #expect(!peers.isOwned(PeerID(rawValue: 1), by: stranger.publicKey))
  }

  @Test func otherMachinesNeedKeys() throws {
    let everywhere = try Endpoint("tcp://0.0.0.0:5570")
    let error = #expect(throws: WireError.keysRequired(everywhere)) {
      try Security<ClientKeys>.decide(for: everywhere, keys: nil, insecure: false)
    }
    #expect(error?.description.contains("massl keygen") == true && error?.description.contains("--insecure") == true)
    guard case .none(.askedFor) = try Security<ClientKeys>.decide(for: everywhere, keys: nil, insecure: true),
      case .none(.loopback) = try Security<ClientKeys>.decide(
        for: Endpoint("tcp://127.0.0.1:1"), keys: nil, insecure: false)
    else {
      Issue.record("keys where none are needed")
      return
    }
  }
}
