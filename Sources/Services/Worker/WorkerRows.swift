import MemoryBank
import Messages
import Numerics
import Synchronization
import Training

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
    let fetch = BlockFetch(plan, step: step, rows: rows, floor: floor, into: memory)
    return try state.withLock { state in
      guard state.incarnation == incarnation else { throw WorkerError.refused("the coordinator started anew") }
      let hits = state.cache.hits
      let positions = 0..<fetch.blocks.blockSize
      var missing = (0..<fetch.blocks.blockCount).map {
        state.cache.gather(fetch.blocks, block: $0, positions: positions, into: fetch.matrix($0))
      }
      let cached = state.cache.hits - hits
      let fetched = try run(fetch, &missing, known: known, from: holders, state.cache)
      return GatheredBlocks(
        step: step, rows: rows, floor: floor, memory: memory, missing: missing,
        traffic: RowTraffic(cached: cached, fetched: fetched))
    }
  }

  /// Fetches what was missing, now that every row of the step is enqueued.
  /// - Returns: what all of the step's rows cost, but for waiting.
  /// - Throws: `WorkerError`, `WireError`.
  @discardableResult
  package func complete(
    _ gathered: GatheredBlocks, in incarnation: Incarnation, from holders: RowHolders
  ) throws -> RowTraffic {
    let fetch = BlockFetch(
      plan, step: gathered.step, rows: gathered.rows, floor: gathered.floor, into: gathered.memory)
    var (missing, traffic) = (gathered.missing, gathered.traffic)
    try state.withLock { state in
      guard state.incarnation == incarnation else { throw WorkerError.refused("the coordinator started anew") }
      traffic.fetched += try run(fetch, &missing, known: gathered.rows, from: holders, state.cache)
    }
    return traffic
  }

  /// Fetches what can be had by now; those bits are cleared.
  /// - Returns: so many rows.
  private func run(
    _ fetch: BlockFetch, _ missing: inout [[UInt8]], known: Int, from holders: RowHolders, _ cache: RowCache
  ) throws -> Int {
    let view = holders.view
    var pieces: [RowFetch.Piece] = []
    for block in missing.indices {
      pieces += try fetch.pieces(block, missing: &missing[block], known: known, by: view) {
        try holders.clients(of: $0, in: view)
      }
    }
    try fetch.run(pieces, cache, slow: holders.avoid)
    return pieces.reduce(0) { $0 + $1.request.rows }
  }
}
