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
  /// Held while a step's rows are gathered, answers included: one thread at a time does that.
  private let state: Mutex<State>

  /// - Parameter bytes: of RAM, at most; 0: no row is kept.
  package init(plan: RunPlan, bytes: Int, incarnation: Incarnation) {
    self.plan = plan
    state = Mutex(
      State(
        cache: RowCache(memorySize: plan.configuration.memorySize, bytes: bytes, seeded: plan.seededRows),
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
}

// MARK: - A step's blocks

extension WorkerRows {
  /// Gathers a step's blocks, one after the other, as far as they can be had: rows that are not here are asked for.
  ///
  /// - Parameters:
  ///   - rows: enqueued before the step; `floor`: rows below it are seeded.
  ///   - known: rows from here on are not enqueued yet: they are what is missing in the end.
  ///   - memory: `[blocks * blockSize, width]`.
  /// - Throws: `WorkerError`, `WireError`.
  package func gather(
    step: Int, rows: Int, floor: Int, known: Int, in incarnation: Incarnation, from holders: RowHolders,
    into memory: FloatBuffer
  ) throws -> GatheredBlocks {
    let blocks = plan.blockPlan(step: step, rows: rows, floor: floor)
    return try state.withLock { state in
      guard state.incarnation == incarnation else { throw WorkerError.refused("the coordinator started anew") }
      var gathered = GatheredBlocks(step: step, rows: rows, floor: floor, memory: memory, missing: [])
      let hits = state.cache.hits
      for block in 0..<blocks.blockCount {
        gathered.missing.append(
          state.cache.gather(
            blocks, block: block, positions: 0..<blocks.blockSize, into: matrix(block, of: blocks, in: memory)))
      }
      gathered.traffic.cached = state.cache.hits - hits
      try fetch(&gathered, blocks, known: known, from: holders, state.cache)
      return gathered
    }
  }

  /// Fetches what was missing, now that every row of the step is enqueued.
  /// - Returns: what all of the step's rows cost, but for waiting.
  /// - Throws: `WorkerError`, `WireError`.
  @discardableResult
  package func complete(
    _ gathered: GatheredBlocks, in incarnation: Incarnation, from holders: RowHolders
  ) throws -> RowTraffic {
    let blocks = plan.blockPlan(step: gathered.step, rows: gathered.rows, floor: gathered.floor)
    var gathered = gathered
    try state.withLock { state in
      guard state.incarnation == incarnation else { throw WorkerError.refused("the coordinator started anew") }
      try fetch(&gathered, blocks, known: gathered.rows, from: holders, state.cache)
    }
    return gathered.traffic
  }

  private func matrix(_ block: Int, of blocks: BlockPlan, in memory: FloatBuffer) -> Matrix {
    let width = plan.configuration.bottleneckDim
    return memory.matrix(at: block * blocks.blockSize * width, rows: blocks.blockSize, columns: width)
  }

  private func fetch(
    _ gathered: inout GatheredBlocks, _ blocks: BlockPlan, known: Int, from holders: RowHolders, _ cache: RowCache
  ) throws {
    let pieces = try pieces(&gathered, blocks, known: known, from: holders)
    gathered.traffic.fetched += pieces.reduce(0) { $0 + $1.request.rows }
    let (step, rows, floor, memory) = (gathered.step, gathered.rows, gathered.floor, gathered.memory)
    let rowSize = plan.configuration.bottleneckDim * plan.rowType.bytes
    var fetch = RowFetch(pieces) { $0.message(step: step, rows: rows, floor: floor) }
    try fetch.run { index, reply, frame in
      let request = pieces[index].request
      let asked = BulkReply.rows(step: step, block: request.block, first: request.positions.lowerBound)
      guard reply == asked, let frame, frame.count == request.rows * rowSize else {
        throw WorkerError.otherBits("memory rows")
      }
      frame.withBytes {
        cache.insert(
          $0, request.missing, of: blocks, block: request.block, positions: request.positions,
          into: matrix(request.block, of: blocks, in: memory))
      }
    }
  }

  /// What can be asked for by now, by those who have it; those bits are cleared.
  private func pieces(
    _ gathered: inout GatheredBlocks, _ blocks: BlockPlan, known: Int, from holders: RowHolders
  ) throws -> [RowFetch.Piece] {
    let rowsAtMost = Limits.bulkBytes / (plan.configuration.bottleneckDim * plan.rowType.bytes)
    let view = holders.view
    var pieces: [RowFetch.Piece] = []
    for block in 0..<blocks.blockCount {
      let empty = [UInt8](repeating: 0, count: gathered.missing[block].count)
      var bitmaps: [[Int]: [UInt8]] = [:]
      for (index, byte) in gathered.missing[block].enumerated() where byte != 0 {
        for bit in 0..<8 where byte >> UInt8(bit) & 1 == 1 {
          let row = blocks.row(block: block, position: index * 8 + bit)
          guard row < known else { continue }
          bitmaps[view.holders(ofRow: row), default: empty][index] |= 1 << UInt8(bit)
          gathered.missing[block][index] &= ~(1 << UInt8(bit))
        }
      }
      for (who, bitmap) in bitmaps {
        let clients = try holders.clients(of: who, in: view)
        pieces += RowRequest.requests(
          block: block, missing: bitmap, positions: blocks.blockSize, rowsAtMost: rowsAtMost
        ).map { RowFetch.Piece(request: $0, holders: clients) }
      }
    }
    return pieces
  }
}
