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
    /// Rows below it are seeded now, those too that were kept as they were stored.
    var floor = 0

    mutating func raiseFloor(to floor: Int) {
      guard floor > self.floor else { return }
      cache.restart(rows: .max, floor: floor)
      self.floor = floor
    }
  }

  private let definition: RunDefinition
  /// Held while a step's rows are gathered, answers included: one thread at a time does that.
  private let state: Mutex<State>

  /// - Parameter bytes: of RAM, at most; 0: no row is kept.
  package init(definition: RunDefinition, bytes: Int, incarnation: Incarnation) {
    self.definition = definition
    state = Mutex(
      State(
        cache: RowCache(memorySize: definition.configuration.memorySize, bytes: bytes, seeded: definition.seededRows),
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
  /// Gathers a step's blocks, as far as they can be had: rows that are not here are asked for.
  ///
  /// - Parameters:
  ///   - known: rows from here on are not enqueued yet: they are what is missing in the end.
  ///   - memory: `blockFloats` floats.
  ///   - check: called again and again; throws once the rows are of no use any more.
  /// - Throws: `WorkerError.outdated`, `BulkError`, `WireError`, what `check` throws.
  package func gather(
    _ version: MemoryVersion, below known: Int, in incarnation: Incarnation, from holders: RowHolders,
    into memory: FloatBuffer, unless check: @Sendable () throws -> Void = {}
  ) throws -> StepBlocks {
    try state.withLock { state in
      guard state.incarnation == incarnation else { throw WorkerError.outdated }
      state.raiseFloor(to: version.floor)
      var blocks = StepBlocks(definition, of: version, from: state.cache, into: memory)
      try blocks.fetch(below: known, from: holders, keeping: state.cache, unless: check)
      return blocks
    }
  }

  /// Takes the new rows where they are here, and fetches what is missing then, now that every row of the step is enqueued.
  /// - Parameter check: as for `gather`.
  /// - Throws: `WorkerError.outdated`, `BulkError`, `WireError`, what `check` throws.
  package func complete(
    _ blocks: inout StepBlocks, with newRows: NewRows? = nil, in incarnation: Incarnation, from holders: RowHolders,
    unless check: @Sendable () throws -> Void = {}
  ) throws {
    try state.withLock { state in
      guard state.incarnation == incarnation else { throw WorkerError.outdated }
      if let newRows { blocks.take(newRows, keeping: state.cache) }
      try blocks.fetch(below: blocks.version.rows, from: holders, keeping: state.cache, unless: check)
    }
  }
}
