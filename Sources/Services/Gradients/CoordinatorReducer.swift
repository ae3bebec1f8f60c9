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
  private let work = Mutex(Work())
  private let wake = BoundedQueue<Bool>(capacity: 1)
  private let ended = BoundedQueue<Bool>(capacity: 1)

  private struct Work: Sendable {
    /// The newest deal's number; nil while nothing is wanted.
    var deal: UInt64?
    /// What waits of it.
    var waiting: [Reduction] = []
  }

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
    work.withLock { work in
      if work.deal != reduction.number { work = Work(deal: reduction.number) }
      work.waiting.append(reduction)
    }
    _ = wake.tryAppend(true)
  }

  /// Nothing that was asked for before is of use.
  package func abandon() { work.withLock { $0 = Work() } }

  /// Ends the thread after the part that it is at, and waits for it.
  package func stop() {
    abandon()
    wake.close()
    _ = ended.next()
  }

  private func run(_ report: (Event) -> Void) {
    var sums = GradientSums(tree: definition.tree, parameters: definition.layout.count)
    while wake.next() != nil {
      while let reduction = work.withLock({ $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }) {
        // It is needed once in a while: connections last as long as that.
        var clients = WorkerClients(connect: connect)
        clients.keep(Set(reduction.gradients.flatMap(\.holders)))
        add(reduction, &sums, clients, report)
        clients.stop()
      }
    }
  }

  private func add(
    _ reduction: Reduction, _ sums: inout GradientSums, _ clients: WorkerClients, _ report: (Event) -> Void
  ) {
    do {
      try sums.add(
        reduction,
        from: { gradient in
          if let here = step.gradient(of: gradient.slices) { return .here(here) }
          guard !gradient.holders.isEmpty else { throw Outdated() }
          return try GradientSums.source(of: gradient, among: clients)
        },
        unless: { guard work.withLock({ $0.deal }) == reduction.number else { throw Outdated() } },
        take: { chunk, sum, _ in
          guard let arrived = step.take(own: sum, ofChunk: chunk, deal: reduction.number) else {
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
