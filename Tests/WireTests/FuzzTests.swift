import Foundation
import Messages
import TestSupport
import Testing
import Wire

@Suite("Foreign bytes are a message or a list of keys, or are refused")
struct FuzzTests {
  private static let filter = "WireTests.FuzzTests"

  /// The public halves of pairs that nobody uses, and the first one's secret.
  private static let keys = [
    "cbdbe471082f1f6e5d7fbe217cf3402d2c8df7c9a628030a6b020cd319297c0e",
    "fce9008b275ac0129c67e8fd4334f400516f8f09d81e941e0a455105331f0616",
    "d2c96ab461a7693e85ded8330156888bbe503772fcc0810c113fa975f5fad37e",
    "fea05a2072c7d730365d81819d0050a6328368938a04a0f22fae12db382b963b",
  ]
  private static let secret = "66c02067e9bb9f4f7332681523702d69ff907894c845d8c639d84e340ea9e6d0"

  /// Whatever decodes has only values that can be sent again.
  @Test func envelopes() {
    var random = SplitMix64(seed: 1)
    let corpus = (0..<20).flatMap { _ in
      everyMessage(&random).map {
        Envelope(sender: someSender(&random), message: $0, exchange: random.next()).encoded()
      }
    }
    let report = Fuzzing("envelopes", percent: 28, filter: Self.filter).run(
      corpus: corpus, refusing: { $0 is WireError }
    ) { input, _ in
      let envelope = try Envelope(decoding: input)
      // As bytes: a loss may be no number, which equals none.
      let again = envelope.encoded()
      guard try Envelope(decoding: again, from: envelope.sender.peer).encoded() == again else {
        throw Fuzzing.Mistake("became another message when sent again")
      }
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.accepted > 0 && report.refused > report.accepted / 4)
  }

  @Test func keyFiles() throws {
    try withTemporaryDirectory { root in
      let text = "# massl key pair.\npublic \(Self.keys[0])\nsecret \(Self.secret)\n"
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(root)/key"))
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(root)/key")
      let pair = try KeyPair(contentsOf: "\(root)/key")
      let report = Fuzzing("key files", percent: 3, filter: Self.filter).run(
        corpus: [Array(text.utf8)], refusing: { $0 is WireError }
      ) { input, _ in
        try Data(input).write(to: URL(fileURLWithPath: "\(root)/key"))
        // Some bits of a secret do not count: another one may be as good.
        guard try KeyPair(contentsOf: "\(root)/key").publicKey == pair.publicKey else {
          throw Fuzzing.Mistake("became another key")
        }
      }
      #expect(report.failures == [])
      #expect(!report.isWhole || report.accepted > 0 && report.refused > report.accepted)
    }
  }

  @Test func allowedKeys() throws {
    try withTemporaryDirectory { root in
      let keys = Self.keys
      let texts = ["# workers\n\n\(keys[0])\n  \(keys[1]) of the room below\r\n", "\(keys[2])\n\(keys[3])#again"]
      let report = Fuzzing("allowed keys", percent: 2, filter: Self.filter).run(
        corpus: texts.map { Array($0.utf8) }, refusing: { $0 is WireError }
      ) { input, _ in
        try Data(input).write(to: URL(fileURLWithPath: "\(root)/keys"))
        guard try !AllowedKeys.read("\(root)/keys").isEmpty else { throw Fuzzing.Mistake("no keys were accepted") }
      }
      #expect(report.failures == [])
      #expect(!report.isWhole || report.accepted > 0 && report.refused > 0)
    }
  }
}
