import Configuration
import Glibc
import MemoryBank
import Messages
import Numerics
import Runs
import Services
import Threads
import Wire

/// `massl bench memory`: rows that memory shards serve over loopback, from extents on disk, as workers ask for them;
/// beside libzmq by itself sending frames of the same sizes out of as much memory.
public enum RowServing {
  /// Frames a round, about.
  static let frames = 512
  /// Bytes that raw ZeroMQ sends from, at most: far more than any cache has.
  static let rawBytesAtMost = 256 << 20

  /// Rows filled and served.
  /// - Parameters:
  ///   - rows: rounded up to whole extents; the memory's size.
  ///   - directory: where shards' directories are, or are made.
  /// - Throws: what filling throws (`FilledMemory`); `WireError` if a socket cannot be had.
  public static func measure(
    _ configuration: RunConfiguration, rows: Int, shards: Int, in directory: String, threads: Int, rounds: Int
  ) throws -> [Figure] {
    let memory = try FilledMemory(configuration, rows: rows, shards: shards, in: directory, threads: threads)
    defer { memory.release() }
    let served = try (0..<shards).map { try ServedShard(memory, $0, of: shards) }
    let one = served[0]
    let raw = RawZeroMQ(
      frames: one.frames, outOf: min(rawBytesAtMost, memory.rows / shards * memory.layout.rowSize))
    one.begin(digesting: true)
    let digest = try one.end()
    func ask(_ shards: [ServedShard]) throws {
      for shard in shards { shard.begin() }
      for shard in shards { _ = try shard.end() }
    }
    let seconds = try Timing.medians(
      rounds: rounds, [{ raw.run() }, { try ask([one]) }] + (shards > 1 ? [{ try ask(served) }] : []))
    let rate = Double(one.rows) / seconds[1]
    let name = "\(memory.layout.rowType.rawValue) rows, granule \(memory.configuration.memoryGranule)"
    var figures = [
      Figure(
        "memory, 1 shard, \(name)", rate, unit: "rows/s",
        ceiling: .init("raw ZeroMQ", Double(one.rows) / seconds[0]), digest: digest.description,
        peakBytes: Timing.peakBytes)
    ]
    if shards > 1 {
      let rows = served.reduce(0) { $0 + $1.rows }
      figures.append(
        Figure(
          "memory, \(shards) shards, \(name)", Double(rows) / seconds[2], unit: "rows/s",
          ceiling: .init("1 shard", rate)))
    }
    return figures
  }
}

/// A shard that serves in a thread of its own, and a client of it, in another, with the requests of some steps.
private final class ServedShard: Sendable {
  /// Bytes of each answer, in order, and the rows of all.
  let frames: [Int]
  let rows: Int
  private let requests: [BulkRequest]
  private let contexts: [Context]
  private let thread: SocketThread
  /// Whether to digest what comes.
  private let rounds = BoundedQueue<Bool>(capacity: 1)
  /// The digest of all answers' bytes, in order; of no bytes if it was not wanted.
  private let results = BoundedQueue<Result<Digest, WireError>>(capacity: 1)
  private let sender: Sender
  private let buffer = FloatBuffer(count: WireLimits.bulkFloats)

  init(_ memory: FilledMemory, _ index: Int, of shards: Int) throws {
    let run = RunIdentity(memory.layout.run)
    sender = Sender(run: run, incarnation: Incarnation(1), peer: .random())
    // As two processes have.
    contexts = [try Context(), try Context()]
    let router = try RouterSocket(
      in: contexts[0], listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .bulk, security: .none(.loopback))
    let dealer = try DealerSocket(
      in: contexts[1], as: sender.peer, connectingTo: router.endpoint, for: .bulk, security: .none(.loopback))
    let serving = ShardServing(
      sender: sender, answers: RowAnswers(source: memory.stores[index], keys: memory.configuration.memoryKeys),
      log: { _, _ in }, damaged: {})
    thread = try SocketThread(
      named: "massl-bench-shard", owning: router, outboxCapacity: 1, tick: .milliseconds(20)
    ) { serving.handle($0, $1) }
    let asked = Self.requests(memory, index, of: shards)
    requests = asked.map(\.message)
    frames = asked.map { $0.rows * memory.layout.rowSize }
    rows = asked.reduce(0) { $0 + $1.rows }
    let client = Client(dealer: dealer, sender: sender, requests: requests, frames: frames)
    startThread(named: "massl-bench-asks") { [rounds, results] in
      while let digests = rounds.next() { _ = results.append(client.round(digesting: digests)) }
      results.close()
    }
  }

  deinit {
    rounds.close()
    while results.next() != nil {}
    thread.stop()
  }

  /// Asks for all of it, once.
  func begin(digesting: Bool = false) { _ = rounds.append(digesting) }

  /// Waits until all of it is here.
  func end() throws -> Digest { try results.next()?.get() ?? Digest(high: 0, low: 0) }

  /// What workers without a cache ask this shard for in the steps from 0 on.
  private static func requests(
    _ memory: FilledMemory, _ index: Int, of shards: Int
  ) -> [(message: BulkRequest, rows: Int)] {
    var requests: [(message: BulkRequest, rows: Int)] = []
    let keys = memory.configuration.memoryKeys
    var step = 0
    while requests.count < RowServing.frames {
      let version = MemoryVersion(step: step, rows: memory.rows)
      let blocks = keys.blockDraw(of: version)
      for block in 0..<blocks.blockCount where requests.count < RowServing.frames {
        var missing = [UInt8](repeating: 0, count: (blocks.blockSize + 7) / 8)
        for (position, row) in blocks.rows(block: block, at: Array(0..<blocks.blockSize)).enumerated()
        where memory.layout.index(of: row) % shards == index {
          missing.setBit(position)
        }
        requests += RowRequest.requests(
          of: version, block: block, missing: missing, positions: blocks.blockSize,
          rowsAtMost: WireLimits.bulkBytes / memory.layout.rowSize
        ).map { (.rows($0), $0.rows) }
      }
      step += 1
    }
    return requests
  }
}

/// Asks as a worker does, so many requests under way at once.
private struct Client: Sendable {
  let dealer: DealerSocket
  let sender: Sender
  let requests: [BulkRequest]
  /// Bytes of each answer.
  let frames: [Int]
  private let buffer = FloatBuffer(count: WireLimits.bulkFloats)

  init(dealer: DealerSocket, sender: Sender, requests: [BulkRequest], frames: [Int]) {
    (self.dealer, self.sender, self.requests, self.frames) = (dealer, sender, requests, frames)
  }

  func round(digesting: Bool) -> Result<Digest, WireError> {
    let state = DigestState()
    do throws(WireError) {
      try round { frame in
        if digesting { return frame.withBytes { state.update($0) } }
        frame.withBytes { bytes in
          buffer.withMutableBytes(of: 0..<buffer.count) {
            UnsafeMutableRawBufferPointer(rebasing: $0[..<bytes.count]).copyMemory(from: bytes)
          }
        }
      }
      return .success(state.digest)
    } catch {
      return .failure(error)
    }
  }

  private func round(take: (BulkFrame) -> Void) throws(WireError) {
    var (sent, taken) = (0, 0)
    while taken < requests.count {
      while sent < requests.count, sent - taken < LoopbackTraffic.window {
        _ = try dealer.send(
          Outgoing(Envelope(sender: sender, message: .bulkRequest(requests[sent]), exchange: UInt64(sent + 1))),
          timeout: .seconds(10))
        sent += 1
      }
      guard case .message(let incoming)? = try dealer.receive(timeout: .seconds(30)), let frame = incoming.bulk,
        frame.count == frames[taken]
      else { throw .closed }
      take(frame)
      taken += 1
    }
  }
}
