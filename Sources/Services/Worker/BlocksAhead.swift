import MemoryBank
import Messages
import Numerics
import Synchronization
import Threads

/// A step's memory blocks, gathered or about to be.
package struct GatheredBlocks: Sendable {
  let step: Int
  let rows: Int
  let floor: Int
  /// `[blocks * blockSize, width]`.
  let memory: FloatBuffer
  /// What is not in `memory` yet, a bit a position, block by block.
  package let missing: [[UInt8]]
  /// What it cost so far, but for waiting.
  package var traffic: RowTraffic
}

/// Gathers the next step's rows in a thread of its own, while the slices of this one are computed: all but those that
/// this step will add, for which rows those are follows from the step's key alone.
final class BlocksAhead: Sendable {
  /// What is to be gathered, and how.
  typealias Gathering = @Sendable () throws -> GatheredBlocks

  private let work = BoundedQueue<Gathering>(capacity: 1)
  private let results = BoundedQueue<GatheredBlocks?>(capacity: 1)
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
  func take() -> GatheredBlocks? {
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
