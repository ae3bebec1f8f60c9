import Synchronization
import Threads

/// Gathers the next step's rows in a thread of its own, while the slices of this one are computed: all but those that
/// this step will add, for which rows those are follows from the step's key alone.
final class BlocksAhead: Sendable {
  /// What is to be gathered, and how.
  typealias Gathering = @Sendable () throws -> StepBlocks

  private let work = BoundedQueue<Gathering>(capacity: 1)
  private let results = BoundedQueue<StepBlocks?>(capacity: 1)
  private let isUnderWay = Mutex(false)

  init() {
    startThread(named: "massl-ahead") { [self] in
      // A step that could not be gathered ahead is gathered when it is leased, and then says why.
      while let gather = work.next() { _ = results.append(try? gather()) }
    }
  }

  func begin(_ gather: @escaping Gathering) {
    isUnderWay.withLock { isUnderWay in
      guard !isUnderWay else { return }
      isUnderWay = work.tryAppend(gather)
    }
  }

  /// What was gathered, once it is; nil if nothing was begun, or nothing came of it.
  func take() -> StepBlocks? {
    guard isUnderWay.withLock({ $0 }) else { return nil }
    let result = results.next() ?? nil
    isUnderWay.withLock { $0 = false }
    return result
  }

  func stop() {
    work.close()
    results.close()
  }
}
