import MemoryBank
import Numerics
import Planning
import Testing
import Training

/// Fetches are as many as a worker's own cache comes to, over a thousand steps of a full memory.
struct ExpectedFetchesTests {
  @Test(arguments: [0, 100, 300, 500, 512], [1, 4])
  func expectedFetchesAreThoseOfARealCache(cacheRows: Int, blocks: Int) throws {
    let definition = try smallDefinition([
      "memory_size": "512", "block_size": "64", "blocks_per_step": "\(blocks)", "batch_size": "8",
      "bottleneck_dim": "4",
      "embed_dim": "12", "depth": "1",
    ])
    let rowSize = 4 * MemoryLayout<Float>.stride
    let cache = RowCache(
      memorySize: 512, bytes: cacheRows * (rowSize + RowCache.bookkeeping), seeded: definition.seededRows)
    #expect(cache.capacity == cacheRows)
    let block = FloatBuffer(count: 64 * 4).factor(rows: 64, columns: 4, precision: .fp32)
    let received = [UInt8](repeating: 0, count: 64 * rowSize)
    var (fetched, counted) = (0, 0)
    for step in 0..<1200 {
      // Rows of a memory that has been full for long.
      let order = definition.blockDraw(of: MemoryVersion(step: step, rows: 4096 + 8 * step))
      // All that is here is taken before anything is fetched, as workers do.
      let missing = (0..<order.blockCount).map { cache.gather(order, block: $0, positions: 0..<64, into: block) }
      let counts = missing.map { $0.reduce(0) { $0 + $1.nonzeroBitCount } }
      for index in 0..<order.blockCount {
        received.withUnsafeBytes {
          cache.insert(
            UnsafeRawBufferPointer(rebasing: $0[..<(counts[index] * rowSize)]), missing[index], of: order, block: index,
            positions: 0..<64, into: block)
        }
      }
      if step >= 200 {
        fetched += counts.reduce(0, +)
        counted += 1
      }
    }
    let fetches = ExpectedFetches(definition, cacheRows: cacheRows, unsealed: nil)
    let mean = Double(fetched) / Double(counted)
    #expect(abs(fetches.fetched - mean) <= 0.05 * mean + 0.2, "\(fetches.fetched), \(mean)")
    #expect(fetches.fromCoordinator == fetches.fetched)
  }

  @Test func shardsServeWhatIsOldEnoughToBeWhole() throws {
    let definition = try smallDefinition(["memory_size": "512", "block_size": "64", "bottleneck_dim": "4"])
    // Without a cache the share of rows that shards cannot have yet is that of all rows.
    let fetches = ExpectedFetches(definition, cacheRows: 0, unsealed: 128)
    #expect(abs(fetches.fromCoordinator / fetches.fetched - 0.25) < 0.01)
    #expect(fetches.newest == 8)
    // With room for all, rows are fetched while they are young.
    let cached = ExpectedFetches(definition, cacheRows: 512, unsealed: 128)
    #expect(cached.fetched == 8 && cached.fromCoordinator == 8)
  }
}
