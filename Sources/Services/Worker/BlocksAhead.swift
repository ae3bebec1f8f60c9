import MemoryBank
import Synchronization
import Threads

/// Gathers the next step's rows in a thread of its own, while the slices of this one are computed: all but those that
/// this step will add, for which rows those are follows from the step's key alone.
///
/// One thread begins and takes.
final class BlocksAhead: Sendable {
  /// What is to be gathered, and how; `check` throws once it is of no use any more.
  typealias Gathering = @Sendable (_ check: @Sendable () throws -> Void) throws -> StepBlocks

  /// Between looks whether it is still wanted.
  private static let pause = Duration.milliseconds(100)

  private let work = BoundedQueue<Gathering>(capacity: 1)
  private let results = BoundedQueue<StepBlocks?>(capacity: 1)
  /// Nil while nothing is gathered.
  private let underWay = Mutex<MemoryVersion?>(nil)
  private let isAbandoned = Atomic(false)

  init() {
    startThread(named: "massl-ahead") { [self] in
      while let gather = work.next() {
        // A step that could not be gathered ahead is gathered when it is leased, and then says why.
        let blocks = try? gather { if isAbandoned.load(ordering: .acquiring) { throw WorkerError.cancelled } }
        _ = results.append(blocks)
      }
    }
  }

  func begin(_ version: MemoryVersion, _ gather: @escaping Gathering) {
    underWay.withLock { underWay in
      guard underWay == nil, work.tryAppend(gather) else { return }
      underWay = version
    }
  }

  /// What was gathered of this version, once it is; nil if it was not begun, or nothing came of it. What is under way of
  /// another version is abandoned.
  /// - Parameter check: called again and again; throws once the version is of no use any more.
  /// - Throws: what `check` throws.
  func take(_ version: MemoryVersion, unless check: @Sendable () throws -> Void) throws -> StepBlocks? {
    guard let begun = underWay.withLock({ $0 }) else { return nil }
    guard begun == version else {
      abandon()
      return nil
    }
    while true {
      switch results.next(within: Self.pause) {
      case .element(let blocks):
        underWay.withLock { $0 = nil }
        return blocks
      case .closed: return nil
      case .nothing:
        do { try check() } catch {
          abandon()
          throw error
        }
      }
    }
  }

  private func abandon() {
    isAbandoned.store(true, ordering: .releasing)
    _ = results.next()
    isAbandoned.store(false, ordering: .releasing)
    underWay.withLock { $0 = nil }
  }

  func stop() {
    isAbandoned.store(true, ordering: .releasing)
    work.close()
    results.close()
  }
}
