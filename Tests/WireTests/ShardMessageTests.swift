import Messages
import Numerics
import TestSupport
import Testing
import Wire

@Suite("What memory shards say and hear is within bounds, or is refused") struct ShardMessageTests {
  private static let sender = Sender(
    run: RunIdentity(high: 1, low: 2), incarnation: Incarnation(1), peer: PeerID(rawValue: 1))
  private static let address = BulkAddress(endpoint: (try? Endpoint("tcp://h:7"))!)

  private func problem(_ message: Message, changing from: [UInt8], to: [UInt8]) throws -> String {
    var bytes = Envelope(sender: Self.sender, message: message).encoded()
    let places = bytes.indices.dropLast(from.count - 1).filter { Array(bytes[$0..<$0 + from.count]) == from }
    let place = try #require(places.count == 1 ? places[0] : nil)
    bytes.replaceSubrange(place..<place + from.count, with: to)
    let changed = bytes
    let error = try #require(throws: WireError.self) { try Envelope(decoding: changed) }
    guard case .badField(_, let field, let problem) = error else { return "\(error)" }
    return "\(field) \(problem)"
  }

  @Test func theLargestHelloFits() throws {
    let held = (0..<WireLimits.extentsPerShard).map { HeldExtent(index: $0 << 10, after: .max) }
    let hello = ShardHello(
      protocolVersion: 1, name: "host", shard: ShardID(high: 1, low: 2), address: Self.address, capacity: 1, held: held,
      changes: 0)
    let envelope = Envelope(sender: Self.sender, message: .shard(.hello(hello)))
    let decoded = try Envelope(decoding: envelope.encoded())
    #expect(decoded == envelope)
  }

  @Test func theLargestTableFits() throws {
    let table = HolderTable(
      version: 1, first: 0, shards: [BulkAddress](repeating: Self.address, count: WireLimits.shards),
      holders: [[Int]](
        repeating: (0..<WireLimits.holders).map { WireLimits.shards - 1 - $0 }, count: WireLimits.extentsPerRequest))
    let envelope = Envelope(sender: Self.sender, message: .bulkReply(.holders(table)))
    let decoded = try Envelope(decoding: envelope.encoded())
    #expect(decoded == envelope)
  }

  @Test func aShardThatIsNotInTheTableIsNamed() throws {
    let table = HolderTable(version: 99, first: 0, shards: [Self.address, Self.address], holders: [[0, 1]])
    let asked = Message.bulkReply(.holders(table))
    #expect(
      try problem(asked, changing: [0x2A, 2, 0, 1], to: [0x2A, 2, 0, 2]) == "holders.indices names shard 2 of 2")
    #expect(
      try problem(asked, changing: [0x22, 1, 2], to: [0x22, 1, 1])
        == "holders.indices has 2 numbers, but 1 are counted")
    #expect(try problem(asked, changing: [0x22, 1, 2], to: [0x22, 1, 3]) == "holders.indices has only 2 numbers")
  }

  @Test func anAddressThatNobodyCanConnectToIsRefused() throws {
    let hello = Message.shard(
      .hello(
        ShardHello(
          protocolVersion: 1, name: "host", shard: ShardID(high: 1, low: 2), address: Self.address, capacity: 1,
          held: [], changes: 0)))
    let text = Array("tcp://h:7".utf8)
    #expect(
      try problem(hello, changing: text, to: Array("tcp://*:7".utf8))
        == "shard_hello.address.endpoint is tcp://*:7, no place to connect to")
    #expect(
      try problem(hello, changing: text, to: Array("udp://h:7".utf8)).contains("it does not begin with tcp://"))
  }

  @Test func changesWithoutTheirStatesAreRefused() throws {
    let report = Message.shard(
      .report(ShardReport(first: 0, changes: [.removed(5), .damaged(6)], used: 0, capacity: 0, assignment: 0)))
    #expect(
      try problem(report, changing: [0x1A, 2, 2, 3], to: [0x1A, 2, 2, 9])
        == "shard_report.states has the unknown value 9")
    #expect(
      try problem(report, changing: [0x12, 2, 5, 6], to: [0x12, 2, 0x85, 6])
        == "shard_report.states has 2 states for 1 changes")
  }
}
