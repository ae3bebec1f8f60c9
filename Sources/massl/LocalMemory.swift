import Configuration
import Machine
import MemoryBank
import Runs
import Services
import Training

/// The memory of all processes of a run on one machine, which is theirs together.
package struct LocalMemory {
  /// Bytes of RAM for rows, as much as was asked for where there is room.
  package let coordinatorRowCache: Int
  package let workerRowCache: Int
  /// What is less than was asked for; nil if nothing is.
  package let sentence: String?
  /// What the processes need, what there is, and what to do.
  package let words: String

  /// - Throws: `RunError.tooLarge` if they cannot run beside each other; what `RunDefinition` throws.
  package init(
    _ configuration: RunConfiguration, workers: Int, threads: Int, rowCache: Int, _ allowance: Allowance
  ) throws {
    // Sizes do not follow from the number of pictures.
    let definition = try RunDefinition(configuration: configuration, pictures: configuration.batchSize)
    let coordinator = MemoryNeed.coordinator(of: definition)
    let each = (0..<workers).map {
      MemoryNeed.worker(of: definition, threads: Self.threads(threads, of: $0, of: workers))
    }
    let all = each.reduce(coordinator, +)
    try all.check(allowance, who: "A coordinator with \(workers) \(workers == 1 ? "worker" : "workers")")
    let share = all.rest(of: allowance) / (1 + workers)
    coordinatorRowCache = min(RowStore.cacheBytes, share)
    workerRowCache = min(rowCache, share)
    sentence =
      workerRowCache < min(rowCache, definition.rowBytes)
      ? "Memory leaves room for \(Bytes(workerRowCache)) of rows in each worker, fewer than --row-cache allows: others are "
        + "fetched again. \(allowance.memory.words)"
      : nil
    words =
      "The coordinator needs at least \(Bytes(coordinator.bytes)), each worker \(Bytes(each[0].bytes)), rows in caches "
      + "not counted. \(allowance.memory.words) Give them more, or make less of it: --threads, slice_size, --row-cache."
  }

  /// Of so many threads of all workers; the first workers have one more where some are left over.
  package static func threads(_ threads: Int, of index: Int, of workers: Int) -> Int {
    threads / workers + (index < threads % workers ? 1 : 0)
  }
}

extension RunDefinition {
  /// Of all rows of the memory.
  fileprivate var rowBytes: Int {
    configuration.memorySize * configuration.bottleneckDim * rowType.bytes
  }
}
