import Foundation
import Messages
import Numerics
import Synchronization
import TestSupport
import Testing
import Threads
import Wire

/// A router among peers that do not play by the rules, and one that does.
@Suite("Whatever connects and whatever it sends, other peers are served", .serialized)
struct ForeignPeerTests {
  let context: Context
  let router: RouterSocket
  let good: DealerSocket
  let goodPeer = PeerID(rawValue: 1)

  init() throws {
    context = try Context()
    router = try RouterSocket(
      in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .control, security: .none(.loopback))
    good = try DealerSocket(
      in: context, as: goodPeer, connectingTo: router.endpoint, for: .control, security: .none(.loopback))
  }

  func push(from peer: PeerID) -> Envelope {
    var random = SplitMix64(seed: peer.rawValue)
    return Envelope(
      sender: someSender(&random, peer: peer), message: .bulkRequest(.push(lease: LeaseID(3), offset: 0)))
  }

  /// Sends from the good peer, and takes from the router until nothing comes any more.
  /// - Returns: what came but the good peer's message, which must have come.
  func complaintsBesideTheGoodPeer() throws -> [WireError] {
    var random = SplitMix64(seed: 9)
    let status = Envelope(sender: someSender(&random, peer: goodPeer), message: .worker(.statusRequest))
    #expect(try good.send(Outgoing(status), timeout: .patience) == .sent)
    var complaints: [WireError] = []
    var isHeard = false
    while let received = try router.receive(timeout: isHeard ? .milliseconds(300) : .patience) {
      switch received {
      case .malformed(_, let error, _): complaints.append(error)
      case .disconnected: break
      case .message(let incoming):
        #expect(incoming.peer == goodPeer)
        isHeard = true
      }
    }
    #expect(isHeard, "the good peer is not heard any more")
    return complaints
  }

  @Test(arguments: ["GET / HTTP/1.1\r\nHost: massl\r\n\r\n", "\u{7F}ELF", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"])
  func garbageOnTheConnectionIsSurvived(text: String) throws {
    var random = SplitMix64(seed: 1)
    let peers = try (0..<20).map { _ in try RawPeer(to: router.endpoint) }
    for peer in peers {
      peer.send(Array(text.utf8))
      peer.send((0..<300).map { _ in UInt8.random(in: 0...255, using: &random) })
    }
    let complaints = try complaintsBesideTheGoodPeer()
    // libzmq takes some of it for the first version of its protocol, and for messages. Twenty peers, but each sentence
    // about connections once.
    let ofConnections = complaints.filter { complaint in
      switch complaint {
      case .handshakeFailed(router.endpoint, .noHandshake), .foreignPeer: return true
      case .notAnEnvelope, .badFrames, .badField, .noBody, .newerProtocol: return false
      default:
        Issue.record("\(complaint)")
        return false
      }
    }
    #expect(Set(ofConnections.map(\.description)).count == ofConnections.count && ofConnections.count <= 16)
    withExtendedLifetime(peers) {}
  }

  @Test func framesThatAreTooManyTooFewOrTooLargeAreNamed() throws {
    let peer = PeerID(rawValue: 2)
    let raw = try RawPeer(to: router.endpoint)
    raw.shakeHands(as: peer)
    let envelope = push(from: peer).encoded()
    let bulk = [UInt8](repeating: 0, count: 8)
    raw.send(frame: envelope)
    raw.send(frame: envelope, more: true)
    raw.send(frame: bulk, more: true)
    raw.send(frame: bulk)
    raw.send(frame: [])
    raw.send(frame: envelope, more: true)
    raw.send(frame: [])
    raw.send(frame: envelope, more: true)
    raw.send(frame: [1, 2, 3])
    raw.send(frame: envelope, more: true)
    raw.send(frame: [UInt8](repeating: 0, count: WireLimits.bulkBytes + 4))
    func frames(_ problem: String) -> WireError { .badFrames(peer: peer, problem: problem) }
    #expect(
      try complaintsBesideTheGoodPeer() == [
        frames("no bulk frame where one belongs"), frames("3 frames, more than an envelope and one of bulk"),
        .badField(peer: peer, field: "protocol_version", problem: "is 0"),
        frames("a bulk frame of 0 bytes, not 1 to 1048576"),
        frames("a bulk frame of 3 bytes, no multiple of 4"),
        frames("a bulk frame of \(WireLimits.bulkBytes + 4) bytes, not 1 to 1048576"),
      ])
    withExtendedLifetime(raw) {}
  }

  @Test func aFrameThatAnnouncesTooMuchAndAMessageCutInTheMiddleAreDropped() throws {
    let envelope = push(from: PeerID(rawValue: 2)).encoded()
    for (announced, more) in [
      (UInt64(WireLimits.frameBytes) + 1, false), (UInt64.max, false), (UInt64(envelope.count), true),
    ] {
      let raw = try RawPeer(to: router.endpoint)
      raw.shakeHands(as: PeerID(rawValue: 2))
      raw.send(frame: envelope, more: more, announcing: announced)
      // What announces too much is cut off before it is read; the other hangs up in the middle of its message.
      if !more { #expect(raw.isHungUpOn()) } else { Thread.sleep(forTimeInterval: 0.1) }
      withExtendedLifetime(raw) {}
    }
    #expect(try complaintsBesideTheGoodPeer() == [])
  }

  /// Parts of a byte, of a large message, and none at all; libzmq's own memory for a part counts most with the smallest.
  @Test(arguments: [0, 1, 64 << 10])
  func aMessageThatNeverEndsIsCutOff(partBytes: Int) throws {
    let raw = try RawPeer(to: router.endpoint)
    raw.shakeHands(as: PeerID(rawValue: 2))
    let part =
      [3] + withUnsafeBytes(of: UInt64(partBytes).bigEndian) { Array($0) } + [UInt8](repeating: 0, count: partBytes)
    let parts = [[UInt8]](repeating: part, count: max(1, (64 << 10) / part.count)).flatMap(\.self)
    // Without an end but that of the test, and slower than this machine could, so that what is not cut off is seen.
    let isCutOff = Mutex(false)
    let isOver = Mutex(false)
    startThread(named: "endless") { [raw = Held(raw)] in
      while !isOver.withLock({ $0 }), raw.peer.send(parts) { Thread.sleep(forTimeInterval: 0.001) }
      isCutOff.withLock { $0 = !isOver.withLock { $0 } }
    }
    defer { isOver.withLock { $0 = true } }
    let deadline = ContinuousClock.now + .patience
    var complaint: WireError?
    while complaint == nil || !isCutOff.withLock({ $0 }), ContinuousClock.now < deadline {
      if case .malformed(nil, let error, _)? = try router.receive(timeout: .milliseconds(50)) { complaint = error }
    }
    guard case .cutOff(router.endpoint, .endlessMessage(let address, let bytes))? = complaint else {
      Issue.record("\(String(describing: complaint))")
      return
    }
    #expect(address.hasPrefix("127.0.0.1:") && bytes > WireLimits.unfinishedMessageBytes)
    #expect(isCutOff.withLock { $0 })
    #expect(try complaintsBesideTheGoodPeer() == [])
  }

  /// The thread that reads does not run for a while, as on a machine with more to do than it can.
  @Test func whoIsInTheMiddleOfAMessageWhileNobodyReadsIsNotCutOff() throws {
    let peer = PeerID(rawValue: 2)
    let raw = try RawPeer(to: router.endpoint)
    raw.shakeHands(as: peer)
    let (envelope, bulk) = (push(from: peer).encoded(), [UInt8](repeating: 0, count: WireLimits.bulkBytes))
    raw.send(frame: envelope, more: true)
    raw.send(frame: Array(bulk.prefix(bulk.count / 2)), announcing: UInt64(bulk.count))
    // It is looked at, and the socket is seen empty after that.
    let looked = ContinuousClock.now + .milliseconds(500)
    while ContinuousClock.now < looked { #expect(try router.receive(timeout: .milliseconds(10)) == nil) }
    raw.send(Array(bulk.suffix(bulk.count / 2)))
    for _ in 0..<8 {
      raw.send(frame: envelope, more: true)
      raw.send(frame: bulk)
    }
    Thread.sleep(forTimeInterval: 0.3)
    var messages = 0
    while messages < 9, let received = try router.receive(timeout: .patience) {
      guard case .message(let incoming) = received else {
        Issue.record("\(received)")
        break
      }
      #expect(incoming.peer == peer && incoming.bulk?.count == bulk.count)
      messages += 1
    }
    #expect(messages == 9)
    withExtendedLifetime(raw) {}
  }

  /// Sent from one thread at a time.
  private struct Held: @unchecked Sendable {
    let peer: RawPeer
    init(_ peer: RawPeer) { self.peer = peer }
  }

  /// libzmq 4.3.4 ends the process where it had stopped reading for a bound of its own.
  @Test func pingsLeftBehindInABacklogEndNobody() throws {
    let ping: [UInt8] = [4, 11, 4] + Array("PING".utf8) + [0, 100, 1, 2, 3, 4]
    let messages = (0..<1_500).flatMap { _ in [0, 1, 0] as [UInt8] }
    for _ in 0..<20 {
      var raw: RawPeer? = try RawPeer(to: router.endpoint)
      raw?.shakeHands(routingID: [])
      raw?.send(messages + ping + messages + ping)
      // Closed with bytes unread, which the other side sees as a reset, before it takes anything out.
      raw = nil
      Thread.sleep(forTimeInterval: 0.02)
    }
    for complaint in try complaintsBesideTheGoodPeer() {
      guard case .notAnEnvelope = complaint else {
        Issue.record("\(complaint)")
        continue
      }
    }
  }

  /// Of nothing but the least messages there are, which cost libzmq the most.
  @Test func whoSendsFasterThanAnybodyCouldReadIsCutOff() throws {
    let raw = try RawPeer(to: router.endpoint)
    raw.shakeHands(routingID: [])
    let messages = [UInt8](repeating: 0, count: 64 << 10)
    let isCutOff = Mutex(false)
    let isOver = Mutex(false)
    startThread(named: "flood") { [raw = Held(raw)] in
      while !isOver.withLock({ $0 }), raw.peer.send(messages) {}
      isCutOff.withLock { $0 = !isOver.withLock { $0 } }
    }
    defer { isOver.withLock { $0 = true } }
    let deadline = ContinuousClock.now + .patience
    var bytes: Int?
    while bytes == nil || !isCutOff.withLock({ $0 }), ContinuousClock.now < deadline {
      if case .malformed(nil, .cutOff(_, .backlog(_, let memory)), _)? = try router.receive(timeout: .milliseconds(50))
      {
        bytes = memory
      }
    }
    #expect(bytes ?? 0 > WireLimits.backlogBytes && isCutOff.withLock { $0 })
    _ = try complaintsBesideTheGoodPeer()
  }

  @Test func manyUnfinishedMessagesTogetherAreCutOffTheOldestFirst() throws {
    // Each is shorter than the longest message of ours.
    let part = [UInt8](repeating: 0, count: 1 << 20)
    let peers = try (0..<12).map { number in
      let raw = try RawPeer(to: router.endpoint)
      raw.shakeHands(as: PeerID(rawValue: UInt64(number) + 10))
      for _ in 0..<2 { raw.send(frame: part, more: true) }
      return raw
    }
    var complaints: [WireError] = []
    let deadline = ContinuousClock.now + .patience
    while complaints.count < 8, ContinuousClock.now < deadline {
      if case .malformed(_, let error, _)? = try router.receive(timeout: .milliseconds(50)) { complaints.append(error) }
    }
    // 24 MiB, of which 8 may stay.
    #expect(complaints.count >= 8, "\(complaints)")
    for complaint in complaints {
      guard case .cutOff(router.endpoint, .endlessMessage(_, let bytes)) = complaint else {
        Issue.record("\(complaint)")
        continue
      }
      #expect(bytes < WireLimits.unfinishedMessageBytes)
    }
    #expect(try complaintsBesideTheGoodPeer().isEmpty)
    withExtendedLifetime(peers) {}
  }

  @Test func newcomersBeyondTheConnectionsThatFitAreTurnedAwayAndWhoSpokeStays() throws {
    let small = try RouterSocket(
      in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .control, security: .none(.loopback),
      connectionsAtMost: 3)
    var random = SplitMix64(seed: 9)
    var complaints: [WireError] = []
    func dealer(_ peer: UInt64) throws -> DealerSocket {
      try DealerSocket(
        in: context, as: PeerID(rawValue: peer), connectingTo: small.endpoint, for: .control,
        security: .none(.loopback))
    }
    func isHeard(_ dealer: DealerSocket, _ peer: UInt64) throws -> Bool {
      let status = Envelope(
        sender: someSender(&random, peer: PeerID(rawValue: peer)), message: .worker(.statusRequest))
      let deadline = ContinuousClock.now + .patience
      var isSent = false
      while ContinuousClock.now < deadline {
        if !isSent { isSent = try dealer.send(Outgoing(status), timeout: .milliseconds(10)) == .sent }
        switch try small.receive(timeout: .milliseconds(10)) {
        case .message(let incoming)?: if incoming.peer.rawValue == peer { return true }
        case .malformed(nil, let error, _)?: complaints.append(error)
        default: break
        }
      }
      return false
    }
    let early = try dealer(2)
    #expect(try isHeard(early, 2))
    let silent = try (0..<6).map { _ in try RawPeer(to: small.endpoint) }
    while complaints.isEmpty, try isHeard(early, 2) {}
    // Who is turned away in the middle of its handshake is complained of besides.
    #expect(complaints.contains(.cutOff(small.endpoint, .tooMany(atMost: 3))))
    // The router turns them away as it hears of them.
    let deadline = ContinuousClock.now + .patience
    var turnedAway = 0
    while turnedAway < 4, ContinuousClock.now < deadline {
      #expect(try isHeard(early, 2))
      turnedAway = silent.filter { $0.isHungUpOn(within: 20) }.count
    }
    #expect(turnedAway >= 4)
    // Who says nothing gives its place to who comes later.
    let late = try dealer(3)
    #expect(try isHeard(late, 3))
    #expect(try isHeard(early, 2))
  }

  /// Of somebody who knows its id, and connects with or without it as his routing id.
  @Test(arguments: [true, false])
  func nobodySpeaksForAPeerOrHearsWhatIsSentToItWhileItIsConnected(isNamed: Bool) throws {
    #expect(try complaintsBesideTheGoodPeer() == [])
    let imposter = try RawPeer(to: router.endpoint)
    if isNamed { imposter.shakeHands(as: goodPeer) } else { imposter.shakeHands(routingID: []) }
    var random = SplitMix64(seed: 3)
    for message in [WorkerMessage.goodbye, .statusRequest, .goodbye] {
      imposter.send(frame: Envelope(sender: someSender(&random, peer: goodPeer), message: .worker(message)).encoded())
    }
    #expect(try complaintsBesideTheGoodPeer() == [.otherConnection(peer: goodPeer)])
    let lease = Envelope(sender: someSender(&random), message: .coordinator(.heartbeat(step: 5)))
    #expect(try router.send(Outgoing(lease, to: goodPeer)) == .sent)
    guard case .message(let incoming)? = try good.receive(timeout: .patience) else {
      Issue.record("what is sent to a peer does not arrive there")
      return
    }
    #expect(incoming.envelope == lease)
    withExtendedLifetime(imposter) {}
  }

  @Test func badMessagesOfAnUnnamedConnectionAreItsOwnAndAreAnswered() throws {
    let raw = try RawPeer(to: router.endpoint)
    raw.shakeHands(routingID: [])
    raw.send(frame: [1, 2, 3])
    raw.send(frame: [4])
    var peers: [PeerID] = []
    while peers.count < 2, let received = try router.receive(timeout: .patience) {
      if case .malformed(let peer?, .notAnEnvelope, _) = received { peers.append(peer) }
    }
    try #require(peers.count == 2)
    #expect(Set(peers).count == 1 && peers[0] != goodPeer)
    var random = SplitMix64(seed: 3)
    let answer = Envelope(sender: someSender(&random), message: .coordinator(.heartbeat(step: 5)))
    #expect(try router.send(Outgoing(answer, to: peers[0])) == .sent)
    // It says who it is, and stays so.
    let worker = PeerID(rawValue: 4)
    raw.send(frame: Envelope(sender: someSender(&random, peer: worker), message: .worker(.statusRequest)).encoded())
    guard case .message(let incoming)? = try router.receive(timeout: .patience) else {
      Issue.record("a connection with a bad start is not heard any more")
      return
    }
    #expect(incoming.peer == worker)
    raw.send(frame: Envelope(sender: someSender(&random, peer: goodPeer), message: .worker(.statusRequest)).encoded())
    guard
      case .malformed(worker?, .otherPeer(connection: worker, claimed: goodPeer), _)? = try router.receive(
        timeout: .patience)
    else {
      Issue.record("one connection speaks for two")
      return
    }
    withExtendedLifetime(raw) {}
  }

  @Test func aForeignRoutingIdAndAnotherPeersNameAreNamed() throws {
    let foreign = try RawPeer(to: router.endpoint)
    foreign.shakeHands(routingID: Array("worker".utf8))
    foreign.send(frame: [1])
    let liar = try RawPeer(to: router.endpoint)
    liar.shakeHands(as: PeerID(rawValue: 2))
    liar.send(frame: push(from: goodPeer).encoded())
    let complaints = try complaintsBesideTheGoodPeer()
    #expect(complaints.count == 2)
    #expect(complaints.contains(.foreignPeer(routingID: "776f726b6572")))
    #expect(complaints.contains(.otherPeer(connection: PeerID(rawValue: 2), claimed: goodPeer)))
    withExtendedLifetime((foreign, liar)) {}
  }
}
