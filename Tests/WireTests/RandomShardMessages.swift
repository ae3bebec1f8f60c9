import Messages
import Numerics
import TestSupport

extension SplitMix64 {
  mutating func some<Element>(upTo limit: Int, _ make: (inout SplitMix64) -> Element) -> [Element] {
    (0..<Int.random(in: 0...limit, using: &self)).map { _ in make(&self) }
  }

  mutating func bulkAddress() -> BulkAddress {
    let hosts = ["10.0.0.7", "node-4.example", "[fe80::1%eth0]"]
    let text = "tcp://\(hosts.randomElement(using: &self)!):\(1 + number(below: 65_535))"
    let key = PublicKey("\(digest())\(digest())")
    return BulkAddress(endpoint: (try? Endpoint(text))!, key: chance(0.5) ? key : nil)
  }

  mutating func heldExtent() -> HeldExtent { HeldExtent(index: number(), after: next()) }
}

/// One message of each case that memory shards say and hear, with random values within the limits.
func everyShardMessage(_ random: inout SplitMix64) -> [Message] {
  let shards = random.some(upTo: 4) { $0.bulkAddress() }
  return [
    .shard(
      .hello(
        ShardHello(
          protocolVersion: .random(in: 0 ... .max, using: &random), name: random.text(atMost: WireLimits.shortText),
          shard: ShardID(high: random.next(), low: random.next()), address: random.bulkAddress(),
          capacity: random.number(), held: random.some(upTo: 9) { $0.heldExtent() }, changes: random.next()))),
    .shard(
      .report(
        ShardReport(
          first: random.next() >> 1,
          changes: random.some(upTo: 9) {
            switch $0.next(below: 3) {
            case 0: .held($0.heldExtent())
            case 1: .removed($0.number())
            default: .damaged($0.number())
            }
          }, used: random.number(), capacity: random.number(), isFull: .random(using: &random),
          servedRows: random.number(below: .max), servedBytes: random.number(below: .max), assignment: random.next(),
          problem: random.text(atMost: WireLimits.sentence)))),
    .shard(.goodbye),
    .worker(.memoryRequest),
    .worker(.drainRequest(shard: "x" + random.text(atMost: WireLimits.shortText - 1))),
    .worker(.stayRequest(shard: "x" + random.text(atMost: WireLimits.shortText - 1))),
    .coordinator(
      .shardWelcome(
        ShardWelcome(
          configuration: random.text(atMost: WireLimits.document), bulkPort: 1 + random.number(below: 65_535),
          rows: random.number()))),
    .coordinator(
      .assignment(
        Assignment(
          number: random.next(), heard: random.next(),
          extents: random.some(upTo: 4) { random in
            AssignedExtent(
              extent: ExtentIdentity(index: random.number(), before: random.digest(), after: random.digest()),
              sources: [.coordinator] + random.some(upTo: WireLimits.sources - 1) { .shard($0.bulkAddress()) })
          }, removed: random.some(upTo: 5) { $0.number() }))),
    .coordinator(.memory(json: random.text(atMost: WireLimits.document))),
    .coordinator(.drain(isAccepted: .random(using: &random), text: random.text(atMost: WireLimits.sentence))),
    .bulkRequest(
      .records(
        extent: random.number(), first: random.number(), count: 1 + random.number(below: WireLimits.rowsPerRequest))),
    .bulkRequest(.holders(first: random.number(), count: 1 + random.number(below: WireLimits.extentsPerRequest))),
    .bulkReply(.records(extent: random.number(), first: random.number())),
    .bulkReply(
      .holders(
        HolderTable(
          version: random.next(), first: random.number(), shards: shards,
          holders: random.some(upTo: 9) { random in
            shards.indices.filter { _ in random.chance(0.5) }
          }))),
  ]
}
