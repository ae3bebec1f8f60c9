import Coordination
import Messages
import Numerics
import Synchronization
import Threads
import Training

/// The thread in which the coordinator adds up chunks that no worker does.
package final class CoordinatorReducer: Sendable {
  /// The reduction is not the newest any more.
  private struct Outdated: Error {}

  private let definition: RunDefinition
  private let step: StepReduction
  private let connect: @Sendable (BulkAddress) throws -> BulkClient
  /// What waits, all of one deal.
  private let waiting = Mutex<[Reduction]>([])
  private let newest = Mutex<UInt64?>(nil)
  private let wake = BoundedQueue<Bool>(capacity: 1)
  private let ended = BoundedQueue<Bool>(capacity: 1)

  /// - Parameter connect: to a worker.
  package init(
    _ definition: RunDefinition, step: StepReduction, connect: @escaping @Sendable (BulkAddress) throws -> BulkClient
  ) {
    self.definition = definition
    self.step = step
    self.connect = connect
  }

  /// - Parameter report: takes what comes of chunks, in the thread.
  package func start(report: @escaping @Sendable (Event) -> Void) {
    startThread(named: "massl-reduce") { [self] in
      run(report)
      ended.close()
    }
  }

  /// Adds these up too; never waits.
  package func add(_ reduction: Reduction) {
    newest.withLock { $0 = reduction.number }
    waiting.withLock { waiting in
      waiting.removeAll { $0.number != reduction.number }
      waiting.append(reduction)
    }
    _ = wake.tryAppend(true)
  }

  /// Nothing that was asked for before is of use.
  package func abandon() {
    newest.withLock { $0 = nil }
    waiting.withLock { $0 = [] }
  }

  /// Ends the thread after the part that it is at, and waits for it.
  package func stop() {
    abandon()
    wake.close()
    _ = ended.next()
  }

  private func run(_ report: (Event) -> Void) {
    var sums = GradientSums(tree: definition.tree, parameters: definition.layout.count)
    while wake.next() != nil {
      while let reduction = waiting.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
        // It is needed once in a while: connections last as long as that.
        var clients: [BulkAddress: BulkClient] = [:]
        add(reduction, &sums, &clients, report)
        for client in clients.values { client.stop() }
      }
    }
  }

  private func add(
    _ reduction: Reduction, _ sums: inout GradientSums, _ clients: inout [BulkAddress: BulkClient],
    _ report: (Event) -> Void
  ) {
    do {
      try sums.add(
        reduction,
        from: { gradient in
          if let here = step.gradient(of: gradient.slices) { return .here(here) }
          let holders = try gradient.holders.map { address in
            if let client = clients[address] { return client }
            let client = try connect(address)
            clients[address] = client
            return client
          }
          guard !holders.isEmpty else { throw Outdated() }
          return .clients(holders)
        },
        unless: { guard newest.withLock({ $0 }) == reduction.number else { throw Outdated() } },
        take: { chunk, sum, count in
          guard let arrived = step.take(own: sum, count: count, ofChunk: chunk, deal: reduction.number) else {
            throw Outdated()
          }
          report(.sumArrived(arrived))
        })
    } catch let failure as GradientSums.Failure {
      report(
        .gradientUnavailable(
          UnavailableGradient(
            deal: reduction.number, slices: failure.slices,
            problem: failure.isNotFinite ? .notFinite : .notGiven(reason: failure.reason))))
    } catch is Outdated {
    } catch {
      guard let gradient = reduction.gradients.first(where: { !$0.holders.isEmpty }) else { return }
      report(
        .gradientUnavailable(
          UnavailableGradient(
            deal: reduction.number, slices: gradient.slices, problem: .notGiven(reason: "\(error)"))))
    }
  }
}
