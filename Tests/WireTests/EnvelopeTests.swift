import Messages
import Numerics
import Slices
import TestSupport
import Testing
import Wire

@Suite("An envelope is what was sent, or is refused")
struct EnvelopeTests {
  @Test(arguments: 0..<40 as Range<UInt64>)
  func everyMessageComesBackAsItWas(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    for message in everyMessage(&random) {
      let envelope = Envelope(sender: someSender(&random), message: message)
      #expect(try Envelope(decoding: envelope.encoded(), from: envelope.sender.peer) == envelope)
    }
  }

  /// Cut anywhere, a message is refused, or is a shorter one that is valid: never read past its end.
  @Test func anyTruncationOfAnyMessageIsRefusedOrValid() throws {
    var random = SplitMix64(seed: 7)
    for message in everyMessage(&random) {
      let valid = Envelope(sender: someSender(&random), message: message).encoded()
      for length in 0..<valid.count {
        // An exact copy, so that a reader past the end reads foreign memory.
        guard let cut = try? Envelope(decoding: Array(valid.prefix(length))) else { continue }
        #expect(cut.message != message || cut.exchange == 0)
        #expect(try Envelope(decoding: cut.encoded()) == cut)
      }
    }
  }

  @Test func randomBytesAreNoEnvelope() {
    var random = SplitMix64(seed: 8)
    for _ in 0..<5000 {
      let bytes = (0..<Int.random(in: 0..<200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(throws: WireError.self) { try Envelope(decoding: bytes) }
    }
  }

  /// Changes the only place where `from` stands.
  func encoded(_ message: Message, changing from: [UInt8], to: [UInt8]) throws -> [UInt8] {
    let sender = Sender(run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(1), peer: PeerID(rawValue: 1))
    var bytes = Envelope(sender: sender, message: message).encoded()
    let places = bytes.indices.dropLast(from.count - 1).filter { Array(bytes[$0..<$0 + from.count]) == from }
    let place = try #require(places.count == 1 ? places[0] : nil)
    bytes.replaceSubrange(place..<place + from.count, with: to)
    return bytes
  }

  @Test func unknownEnumValuesAreNamed() throws {
    let refusal = try encoded(
      .coordinator(.refusal(Refusal(reason: .malformed, text: "abc"))), changing: [0x08, 5, 0x12, 3],
      to: [0x08, 99, 0x12, 3])
    #expect(throws: WireError.badField(peer: nil, field: "refusal.reason", problem: "has the unknown value 99")) {
      try Envelope(decoding: refusal)
    }
    let weights = try encoded(
      .bulkRequest(.weights(network: .teacher, step: 77, offset: 1, count: 2)), changing: [0x08, 2, 0x10, 77],
      to: [0x08, 0, 0x10, 77])
    #expect(
      throws: WireError.badField(peer: nil, field: "weights_request.network", problem: "has the unknown value 0")
    ) { try Envelope(decoding: weights) }
  }

  @Test func negativeNumbersAreOutOfBounds() throws {
    // 77 as a varint of one byte, then -1 as one of ten; both lengths around it nine larger.
    let heartbeat = try encoded(
      .coordinator(.heartbeat(step: 77)), changing: [2, 0x08, 77],
      to: [11, 0x08] + [UInt8](repeating: 0xFF, count: 9) + [1])
    #expect(
      throws: WireError.badField(
        peer: nil, field: "heartbeat.step", problem: "is \(UInt64.max), not in 0...\(WireLimits.step - 1)")
    ) { try Envelope(decoding: heartbeat) }
  }

  /// An empty message costs two bytes on the wire and some forty unpacked.
  @Test func anEnvelopeThatUnpacksFortyfoldIsRefused() {
    let pictures = [UInt8](repeating: 0, count: 2 << 20).enumerated().map { $0.offset % 2 == 0 ? UInt8(0x4A) : 0 }
    let count = pictures.count - 64
    let length = (0..<4).map { UInt8((count >> (7 * $0)) & 0x7F) | ($0 < 3 ? 0x80 : 0) }
    let bytes: [UInt8] = [0x08, 1, 0x92, 0x01] + length + pictures.prefix(count)
    #expect(throws: WireError.notAnEnvelope(peer: nil, bytes: bytes.count)) { try Envelope(decoding: bytes) }
  }

  @Test func aNewerVersionIsNamedBeforeItsBodyIsRead() {
    // Version 7, then a body that is no known message and not even well formed inside.
    #expect(throws: WireError.newerProtocol(peer: nil, version: 7)) {
      try Envelope(decoding: [0x08, 7, 0x82, 0x01, 2, 0xFF, 0xFF])
    }
  }

  @Test func aBillionSlicesAreRefused() throws {
    var random = SplitMix64(seed: 1)
    let slices = SliceRange(first: 0, count: 127)
    let lease = Lease(
      lease: LeaseID(1), step: 1, slices: slices, student: random.digest(), teacher: random.digest(), rows: 1,
      memoryFloor: 0)
    let envelope = Envelope(sender: someSender(&random), message: .coordinator(.lease(lease)))
    var bytes = envelope.encoded()
    // The slices' message: 10 7F (count), made 10 80 94 EB DC 03, with both lengths around it four larger.
    let at = try #require(bytes.indices.dropLast(3).first { Array(bytes[$0..<$0 + 4]) == [0x1A, 2, 0x10, 0x7F] })
    bytes.replaceSubrange(at..<at + 4, with: [0x1A, 6, 0x10, 0x80, 0x94, 0xEB, 0xDC, 0x03])
    let outer = try #require(bytes.indices.dropLast(2).first { Array(bytes[$0..<$0 + 2]) == [0x92, 0x02] })
    bytes[outer + 2] += 4
    #expect(
      throws: WireError.badField(peer: nil, field: "lease.slices.count", problem: "is 1000000000, not in 1...65536")
    ) {
      try Envelope(decoding: bytes)
    }
  }

  @Test func moreChosenSlotsThanAreWatchedAreRefused() throws {
    var random = SplitMix64(seed: 5)
    let finished = Finished(
      lease: LeaseID(1), step: 1, slices: SliceRange(first: 0, count: 1), payload: random.digest(), payloadCount: 1,
      losses: [SliceLoss(consistency: 1, koleo: 0, targetEntropy: 1)],
      chosen: Array(repeating: 0xA5, count: WireLimits.chosenBytes), undecodable: [])
    var bytes = Envelope(sender: someSender(&random), message: .worker(.finished(finished))).encoded()
    #expect(try Envelope(decoding: bytes).message == .worker(.finished(finished)))
    // 8192 is 80 40 as a varint; one more, and in the length around it.
    let at = try #require(bytes.indices.dropLast(2).first { Array(bytes[$0..<$0 + 3]) == [0x52, 0x80, 0x40] })
    bytes[at + 1] = 0x81
    bytes.append(0xA5)
    let outer = try #require(bytes.indices.dropLast(2).first { Array(bytes[$0..<$0 + 2]) == [0x92, 0x01] })
    bytes[outer + 2] += 1
    #expect(throws: WireError.badField(peer: nil, field: "finished.chosen", problem: "has 8193 bytes, more than 8192"))
    {
      try Envelope(decoding: bytes)
    }
  }

  @Test func anotherPeersIdIsRefused() {
    var random = SplitMix64(seed: 2)
    let envelope = Envelope(sender: someSender(&random), message: .worker(.goodbye))
    let other = PeerID(rawValue: 5)
    #expect(throws: WireError.otherPeer(connection: other, claimed: envelope.sender.peer)) {
      try Envelope(decoding: envelope.encoded(), from: other)
    }
  }

  @Test func longReasonsAreCutBetweenCharacters() throws {
    var random = SplitMix64(seed: 3)
    let long = String(repeating: "€", count: 3000)
    let envelope = Envelope(
      sender: someSender(&random), message: .worker(.returned(Returned(lease: LeaseID(1), reason: long))))
    guard case .worker(.returned(let returned)) = try Envelope(decoding: envelope.encoded()).message else {
      Issue.record("another message")
      return
    }
    #expect(returned.reason == String(repeating: "€", count: WireLimits.sentence / 3))
  }
}
