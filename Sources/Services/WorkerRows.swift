import MemoryBank
import Numerics
import Synchronization
import Training
import Wire

/// A worker's memory rows: kept from step to step, and from one start of the coordinator to the next, for within a run
/// and its configuration only the rows that a resumed coordinator enqueues anew can differ.
package final class WorkerRows: Sendable {
  private struct State {
    let cache: RowCache
    var incarnation: Incarnation
  }

  private let plan: RunPlan
  /// Held while a step's rows are gathered, answers of the coordinator included: one thread at a time does that.
  private let state: Mutex<State>

  /// - Parameter bytes: of RAM, at most; 0: no row is kept.
  package init(plan: RunPlan, bytes: Int, incarnation: Incarnation) {
    self.plan = plan
    state = Mutex(
      State(
        cache: RowCache(
          memorySize: plan.configuration.memorySize, bytes: bytes,
          seeded: plan.seededRows),
        incarnation: incarnation))
  }

  /// From now on rows of this incarnation are gathered, which began with `rows` rows; waits for a gathering that has
  /// begun.
  package func begin(_ incarnation: Incarnation, rows: Int) {
    state.withLock { state in
      guard state.incarnation != incarnation else { return }
      state.cache.restart(rows: rows, floor: 0)
      state.incarnation = incarnation
    }
  }

  /// Fills in a step's blocks, one after the other: `[blocks * blockSize, width]`. Rows that are not here are asked for.
  /// - Throws: `WorkerError`.
  package func gather(
    _ blocks: BlockPlan, of lease: Lease, in incarnation: Incarnation, from bulk: BulkClient, into memory: FloatBuffer
  )
    throws
  {
    let width = plan.configuration.bottleneckDim
    let rowSize = width * plan.rowType.bytes
    try state.withLock { state in
      guard state.incarnation == incarnation else { throw WorkerError.refused("the coordinator started anew") }
      let cache = state.cache
      func matrix(_ block: Int) -> Matrix {
        memory.matrix(at: block * blocks.blockSize * width, rows: blocks.blockSize, columns: width)
      }
      let requests = (0..<blocks.blockCount).flatMap { block in
        RowRequest.requests(
          block: block,
          missing: cache.gather(blocks, block: block, positions: 0..<blocks.blockSize, into: matrix(block)),
          positions: blocks.blockSize, rowsAtMost: Limits.bulkBytes / rowSize)
      }
      try bulk.ask(requests.map { $0.message(of: lease) }) { index, reply, frame in
        let request = requests[index]
        let asked = BulkReply.rows(step: lease.step, block: request.block, first: request.positions.lowerBound)
        guard reply == asked, let frame, frame.count == request.rows * rowSize else {
          throw WorkerError.otherBits("memory rows")
        }
        frame.withBytes {
          cache.insert(
            $0, request.missing, of: blocks, block: request.block, positions: request.positions,
            into: matrix(request.block))
        }
      }
    }
  }
}
