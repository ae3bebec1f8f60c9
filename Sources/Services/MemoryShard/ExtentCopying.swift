import Coordination
import Glibc
import MemoryBank
import Messages
import Numerics
import Synchronization
import Threads

/// Copies extents from whoever has them, one after the other, in a thread of its own.
///
/// A copy takes at most half of the time, and keeps to a rate: it rests after each frame, so that rows for the step go
/// first.
final class ExtentCopying: Sendable {
  /// What came of a copy.
  enum Outcome: Sendable {
    case held(ExtentRecord)
    /// The disk is full.
    case noRoom(extent: Int, reason: String)
    /// No source gave it whole; each with its reason.
    case failed(extent: Int, reason: String)
  }

  private struct State: Sendable {
    var wanted: [AssignedExtent] = []
  }

  private let begin: @Sendable (ExtentRecord) throws -> ExtentWriter
  private let layout: ExtentLayout
  private let clients: SourceClients
  /// 0: no bound.
  private let bytesPerSecond: Int
  private let report: @Sendable (Outcome) -> Void
  private let state = Mutex(State())
  private let wake = BoundedQueue<Bool>(capacity: 1)
  private let ended = BoundedQueue<Bool>(capacity: 1)

  /// - Parameters:
  ///   - clients: connections to sources; ended by `stop`.
  ///   - bytesPerSecond: at most; 0: no bound.
  ///   - begin: makes room for a copy.
  ///   - report: takes what came of each, in the thread.
  init(
    layout: ExtentLayout, clients: SourceClients, bytesPerSecond: Int,
    begin: @escaping @Sendable (ExtentRecord) throws -> ExtentWriter,
    report: @escaping @Sendable (Outcome) -> Void
  ) {
    self.layout = layout
    self.begin = begin
    self.clients = clients
    self.bytesPerSecond = bytesPerSecond
    self.report = report
    startThread(named: "massl-copy") { [self] in
      while wake.next() != nil { copyAll() }
      ended.close()
    }
  }

  /// Copies these from now on, in this order; what is copied already is finished if it is still among them.
  func copy(_ extents: [AssignedExtent]) {
    state.withLock { $0.wanted = extents }
    _ = wake.tryAppend(true)
  }

  /// Copies this one too, after the others.
  func copyToo(_ extent: AssignedExtent) {
    state.withLock { state in
      guard !state.wanted.contains(where: { $0.extent == extent.extent }) else { return }
      state.wanted.append(extent)
    }
    _ = wake.tryAppend(true)
  }

  /// Ends the connections and the thread, which waits for no answer then.
  func stop() {
    state.withLock { $0.wanted = [] }
    clients.stop()
    wake.close()
    _ = ended.next()
  }

  private func copyAll() {
    while let next = state.withLock({ $0.wanted.first }) {
      let outcome = copy(next)
      state.withLock { $0.wanted.removeAll { $0.extent == next.extent } }
      if let outcome { report(outcome) }
    }
  }

  private func isWanted(_ extent: ExtentIdentity) -> Bool {
    state.withLock { state in state.wanted.contains { $0.extent == extent } }
  }

  /// Nil if it was no longer wanted.
  private func copy(_ assigned: AssignedExtent) -> Outcome? {
    let extent = assigned.extent
    let record = ExtentRecord(index: extent.index, before: extent.before, after: extent.after)
    var reasons: [String] = []
    for source in assigned.sources {
      do {
        return try copy(record, from: source, clients.client(of: source)) ? .held(record) : nil
      } catch let error as DurabilityFailure {
        return .noRoom(extent: extent.index, reason: "\(error.underlying)")
      } catch {
        reasons.append("\(source.words): \(error)")
      }
      guard isWanted(extent) else { return nil }
    }
    return .failed(extent: extent.index, reason: reasons.joined(separator: "; "))
  }

  /// As long as the frame took, and longer where the rate wants it; not beyond the end of what is wanted.
  private func rest(since start: ContinuousClock.Instant, _ bytes: Int, of extent: ExtentIdentity) {
    let took = ContinuousClock.now - start
    let atRate = bytesPerSecond > 0 ? Duration.seconds(Double(bytes) / Double(bytesPerSecond)) : .zero
    let end = start + max(took * 2, atRate)
    while isWanted(extent) {
      let left = end - .now
      guard left > .zero else { return }
      usleep(UInt32(min(left / .microseconds(1), 100_000)))
    }
  }

  /// The own disk failed, not the source.
  private struct DurabilityFailure: Error { let underlying: any Error }

  private func onDisk<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as MemoryBankError { throw error } catch {
      throw DurabilityFailure(underlying: error)
    }
  }

  /// - Returns: false if it was no longer wanted.
  private func copy(_ record: ExtentRecord, from source: ExtentSource, _ client: BulkClient) throws -> Bool {
    let writer = try onDisk { try begin(record) }
    let identity = ExtentIdentity(index: record.index, before: record.before, after: record.after)
    while writer.rows < layout.capacity {
      guard isWanted(identity) else { return false }
      let start = ContinuousClock.now
      let count = min(layout.recordsPerFrame, layout.capacity - writer.rows)
      let asked = BulkReply.records(extent: record.index, first: writer.rows)
      let (reply, frame) = try client.ask(.records(extent: record.index, first: writer.rows, count: count))
      guard reply == asked, let frame, frame.count == count * layout.recordSize else {
        throw BulkError.otherBits("records of extent \(record.index)", from: client.endpoint)
      }
      try onDisk { try frame.withBytes { try writer.append(records: $0) } }
      rest(since: start, frame.count, of: identity)
    }
    try onDisk { try writer.seal() }
    return true
  }
}

extension ExtentSource {
  /// For people.
  var words: String {
    switch self {
    case .coordinator: "the coordinator"
    case .shard(let address): "\(address.endpoint)"
    }
  }
}
