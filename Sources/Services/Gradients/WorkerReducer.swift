import Coordination
import Messages
import Numerics
import Slices
import Synchronization
import Threads
import Training
import Wire

/// The thread of a worker that adds up chunks of gradients for the coordinator, the newest reduction's alone.
package final class WorkerReducer: Sendable {
  /// A newer reduction is there, or none is wanted any more.
  private struct Outdated: Error {}

  private let definition: RunDefinition
  private let coordinator: BulkClient
  /// Over which sums go: what is pushed comes from the worker's own id.
  private let payloads: BulkClient
  private let connect: @Sendable (BulkAddress) throws -> BulkClient
  private let own: KeptGradients
  private let report: @Sendable (ReductionFailure) -> Void
  /// The newest that was asked for.
  private let newest = Mutex<Reduction?>(nil)
  private let wake = BoundedQueue<Bool>(capacity: 1)

  /// - Parameters:
  ///   - coordinator: whom gradients are asked of that nobody else has.
  ///   - connect: to another worker.
  ///   - own: this worker's, which are not asked for.
  package init(
    _ definition: RunDefinition, coordinator: BulkClient, payloads: BulkClient, own: KeptGradients,
    connect: @escaping @Sendable (BulkAddress) throws -> BulkClient,
    report: @escaping @Sendable (ReductionFailure) -> Void
  ) {
    self.definition = definition
    self.coordinator = coordinator
    self.payloads = payloads
    self.own = own
    self.connect = connect
    self.report = report
    startThread(named: "massl-reduce") { [self] in run() }
  }

  /// Adds up what this one says, and nothing of one before it any more.
  package func add(_ reduction: Reduction) {
    newest.withLock { $0 = reduction }
    _ = wake.tryAppend(true)
  }

  /// Ends the thread after the part that it is at.
  package func stop() {
    newest.withLock { $0 = nil }
    wake.close()
  }

  private func run() {
    var sums = GradientSums(tree: definition.tree, parameters: definition.layout.count)
    var clients = WorkerClients(connect: connect)
    var done: UInt64 = 0
    while wake.next() != nil {
      while let reduction = newest.withLock({ $0 }), reduction.number != done {
        done = reduction.number
        add(reduction, &sums, &clients)
      }
    }
    clients.stop()
  }

  private func add(_ reduction: Reduction, _ sums: inout GradientSums, _ clients: inout WorkerClients) {
    var sent = SentSums(of: reduction, over: payloads)
    clients.keep(Set(reduction.gradients.flatMap(\.holders)))
    do {
      try sums.add(
        reduction,
        from: { gradient in
          if let here = own.gradient(ofStep: reduction.step, slices: gradient.slices) { return .here(here.floats) }
          if gradient.holders.isEmpty { return .clients([coordinator]) }
          return try GradientSums.source(of: gradient, among: clients)
        },
        unless: { guard newest.withLock({ $0?.number }) == reduction.number else { throw Outdated() } },
        take: { chunk, sum, count in try sent.send(sum, count: count, ofChunk: chunk) })
      try sent.waitForAll()
    } catch is Outdated {
    } catch is SentSums.Refused {
      // Of an older reduction: the next one, or a later step, is on its way.
    } catch {
      let reason =
        (error as? GradientSums.Failure).map { "of slices from \($0.slices.first) on: \($0.reason)" } ?? "\(error)"
      report(ReductionFailure(number: reduction.number, chunks: sent.missing, reason: reason))
    }
  }
}

/// Sums on their way to the coordinator, a window of them at a time.
private struct SentSums {
  /// The coordinator takes no more sums of this reduction.
  struct Refused: Error {}

  private let reduction: Reduction
  private let client: BulkClient
  private let answers = BulkClient.Answers(capacity: WireLimits.requestsUnderWay)
  private var underWay = 0
  /// Chunks whose sums the coordinator has.
  private var taken: Set<Int> = []

  init(of reduction: Reduction, over client: BulkClient) {
    self.reduction = reduction
    self.client = client
  }

  /// Chunks whose sums the coordinator has not, ascending.
  var missing: [Int] { reduction.chunks.filter { !taken.contains($0) } }

  mutating func send(_ sum: FloatBuffer, count: Int, ofChunk chunk: Int) throws {
    while underWay >= WireLimits.requestsUnderWay { try takeAnswer() }
    client.send(sum, count: count, ofChunk: chunk, reduction: reduction.number, to: answers)
    underWay += 1
  }

  mutating func waitForAll() throws { while underWay > 0 { try takeAnswer() } }

  private mutating func takeAnswer() throws {
    guard let (chunk, result) = answers.next() else { throw BulkError.unanswered(nil) }
    underWay -= 1
    guard try result.get().reply == .summed(reduction: reduction.number, chunk: chunk) else { throw Refused() }
    taken.insert(chunk)
  }
}
