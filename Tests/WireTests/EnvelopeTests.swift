import Numerics
import Testing
import Wire

@Suite("An envelope is what was sent, or is refused")
struct EnvelopeTests {
  @Test(arguments: 0..<40 as Range<UInt64>)
  func everyMessageComesBackAsItWas(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    for message in everyMessage(&random) {
      let envelope = Envelope(sender: someSender(&random), message: message)
      #expect(try Envelope(decoding: envelope.encoded(), from: envelope.sender.peer) == envelope)
    }
  }

  /// Whatever decodes has only values that can be sent again.
  @Test(arguments: 0..<8 as Range<UInt64>)
  func truncatedOrChangedBytesAreRefusedOrValid(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    var (tried, refused) = (0, 0)
    func feed(_ bytes: [UInt8]) {
      tried += 1
      do throws(WireError) {
        let envelope = try Envelope(decoding: bytes)
        _ = envelope.encoded()
      } catch {
        refused += 1
      }
    }
    while tried < 2500 {
      for message in everyMessage(&random) {
        let valid = Envelope(sender: someSender(&random), message: message).encoded()
        feed(Array(valid.prefix(.random(in: 0..<valid.count, using: &random))))
        for _ in 0..<5 {
          var changed = valid
          for _ in 0..<Int.random(in: 1...4, using: &random) {
            changed[.random(in: 0..<changed.count, using: &random)] = .random(in: 0...255, using: &random)
          }
          feed(changed)
        }
      }
    }
    #expect(refused > tried / 4)
  }

  @Test func aNewerVersionIsNamedBeforeItsBodyIsRead() {
    // Version 7, then a body that is no known message and not even well formed inside.
    #expect(throws: WireError.newerProtocol(peer: nil, version: 7)) {
      try Envelope(decoding: [0x08, 7, 0x82, 0x01, 2, 0xFF, 0xFF])
    }
  }

  @Test func aBillionSlicesAreRefused() throws {
    var random = SplitMix(seed: 1)
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

  @Test func anotherPeersIdIsRefused() {
    var random = SplitMix(seed: 2)
    let envelope = Envelope(sender: someSender(&random), message: .worker(.goodbye))
    let other = PeerID(rawValue: 5)
    #expect(throws: WireError.otherPeer(connection: other, claimed: envelope.sender.peer)) {
      try Envelope(decoding: envelope.encoded(), from: other)
    }
  }

  @Test func longReasonsAreCutBetweenCharacters() throws {
    var random = SplitMix(seed: 3)
    let long = String(repeating: "€", count: 3000)
    let envelope = Envelope(
      sender: someSender(&random), message: .worker(.returned(Returned(lease: LeaseID(1), reason: long))))
    guard case .worker(.returned(let returned)) = try Envelope(decoding: envelope.encoded()).message else {
      Issue.record("another message")
      return
    }
    #expect(returned.reason == String(repeating: "€", count: Limits.sentence / 3))
  }
}
