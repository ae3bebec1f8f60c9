import Configuration
import MemoryBank
import Messages
import Numerics
import Services
import Synchronization
import TestSupport
import Testing
import Threads
import Training
import Wire

/// The coordinator's end of both sockets, told what to say by a test.
final class ScriptedCoordinator: Sendable {
  let definition: RunDefinition
  let control: RouterSocket
  let context: Context
  /// What was asked on the bulk socket, in order, and on whose connection.
  private let asked = Mutex<[(request: BulkRequest, peer: PeerID)]>([])
  /// The sums that came, in order.
  private let sums = Mutex<[(reduction: UInt64, chunk: Int, sum: FloatBuffer)]>([])
  let bulkEndpoint: Endpoint
  private let bulkPort: Int
  private let recipe: String
  let run = RunIdentity(high: 3, low: 4)

  /// - Parameters:
  ///   - bulkPort: what a welcome says, if not the bulk socket's own.
  ///   - answer: to a request on the bulk socket; nil is silence.
  init(
    pictures: Int = 12, keys: [String: String] = [:], bulkPort: Int? = nil,
    answer: @escaping @Sendable (BulkRequest) -> (BulkReply, Bulk?)? = { _ in nil }
  ) throws {
    let configuration = try RunConfiguration(layers: [SmallRun.layer(keys)])
    recipe = configuration.yaml()
    definition = try RunDefinition(configuration: configuration, pictures: pictures)
    context = try Context()
    let any = try Endpoint("tcp://127.0.0.1:0")
    control = try RouterSocket(in: context, listeningOn: any, for: .control, security: .none(.loopback))
    let bulk = try RouterSocket(in: context, listeningOn: any, for: .bulk, security: .none(.loopback))
    bulkEndpoint = bulk.endpoint
    self.bulkPort = bulkPort ?? bulk.endpoint.port
    startThread(named: "scripted") { [weak self] in
      while let received = try? bulk.receive(timeout: .seconds(20)) {
        guard let self, case .message(let incoming) = received,
          case .bulkRequest(let request) = incoming.envelope.message
        else { continue }
        self.asked.withLock { $0.append((request, incoming.peer)) }
        if case .sum(let reduction, let chunk) = request, let frame = incoming.bulk {
          let sum = FloatBuffer(count: frame.count / MemoryLayout<Float>.stride)
          frame.copy(into: sum, at: 0)
          self.sums.withLock { $0.append((reduction, chunk, sum)) }
        }
        guard let (reply, frame) = answer(request) else { continue }
        let envelope = Envelope(
          sender: incoming.envelope.sender, message: .bulkReply(reply), exchange: incoming.envelope.exchange)
        _ = try? bulk.send(Outgoing(envelope, bulk: frame, to: incoming.peer), timeout: .patience)
      }
    }
  }

  /// Takes what was asked on the bulk socket so far.
  func takeAsked() -> [BulkRequest] { takeAskedByPeer().map(\.request) }

  func takeAskedByPeer() -> [(request: BulkRequest, peer: PeerID)] {
    asked.withLock { asked in
      defer { asked = [] }
      return asked
    }
  }

  /// The sums that came so far.
  var sumsThatCame: [(reduction: UInt64, chunk: Int, sum: FloatBuffer)] { sums.withLock { $0 } }

  /// A client of the bulk socket, or of a shard's.
  func client(of endpoint: Endpoint? = nil) throws -> BulkClient {
    try BulkClient(
      context: context, sender: Sender(run: run, incarnation: Incarnation(1), peer: .random()),
      endpoint: endpoint ?? bulkEndpoint, security: .none(.loopback))
  }

  /// Of the run's extents.
  var layout: ExtentLayout { definition.extentLayout(run: Digest(high: run.high, low: run.low)) }

  func say(_ message: CoordinatorMessage, to peer: PeerID, incarnation: UInt64 = 1) throws {
    let sender = Sender(run: run, incarnation: Incarnation(incarnation), peer: PeerID(rawValue: 1))
    let outgoing = Outgoing(Envelope(sender: sender, message: .coordinator(message)), to: peer)
    #expect(try control.send(outgoing, timeout: .patience) == .sent)
  }

  func welcome(_ peer: PeerID, incarnation: UInt64 = 1) throws {
    let welcome = Welcome(
      configuration: recipe, bulkPort: bulkPort,
      data: DataIdentity(count: definition.pictures, digest: SmallRun.probe), rows: 0)
    try say(.welcome(welcome), to: peer, incarnation: incarnation)
  }

  func welcomeShard(_ peer: PeerID) throws {
    try say(.shardWelcome(ShardWelcome(configuration: recipe, bulkPort: bulkPort, rows: 0)), to: peer)
  }

  /// The next message of a kind, others passed over.
  private func next<Value>(
    of kind: (Message) -> Value?, seconds: Int = 15, _ location: SourceLocation
  ) throws -> (value: Value, from: Sender) {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline {
      guard case .message(let incoming)? = try control.receive(timeout: .milliseconds(200)),
        let value = kind(incoming.envelope.message)
      else { continue }
      return (value, incoming.envelope.sender)
    }
    Issue.record("no such message within \(seconds) s", sourceLocation: location)
    throw WireError.closed
  }

  func next<Value>(
    _ location: SourceLocation = #_sourceLocation, _ kind: (WorkerMessage) -> Value?
  ) throws -> (value: Value, from: Sender) {
    try next(of: { if case .worker(let message) = $0 { kind(message) } else { nil } }, location)
  }

  func nextOfShard<Value>(
    _ location: SourceLocation = #_sourceLocation, _ kind: (ShardMessage) -> Value?
  ) throws -> (value: Value, from: Sender) {
    try next(of: { if case .shard(let message) = $0 { kind(message) } else { nil } }, location)
  }

  func hello() throws -> Sender { try next { if case .hello(let hello) = $0 { hello } else { nil } }.from }
  func ready() throws -> (value: Ready, from: Sender) {
    try next { if case .ready(let ready) = $0 { ready } else { nil } }
  }
  func returned() throws -> Returned {
    try next { if case .returned(let returned) = $0 { returned } else { nil } }.value
  }
}
