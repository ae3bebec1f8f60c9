import Foundation
import MemoryBank
import Training

/// How many rows a worker is expected to fetch a step, once the memory is full of stored ones.
///
/// A step draws a share p of the memory's rows, evenly. A row is drawn first while it waits outside the cache, is then
/// kept until as many others came as the cache holds, may be drawn and kept again, and leaves the memory at the age of
/// memory_size / batch_size steps. So misses are a renewal process over a row's age, and how long a row is kept is the
/// cache's room divided by the misses: both are found together.
public struct ExpectedFetches: Sendable, Equatable {
  /// Rows in a step's blocks.
  public let drawn: Double
  /// Of them, those that the step before enqueued: they can only be fetched once they exist.
  public let newest: Double
  /// Of them, others that are not in the cache.
  public let older: Double
  /// Of `older`, those that are still fetched where all that the step before enqueued come together: a cache keeps what the
  /// step does not draw of them.
  public let olderBesideNewRows: Double
  /// Of `newest` and `older`, what only the coordinator has: rows of extents that shards cannot have yet.
  public let fromCoordinator: Double

  /// Rows fetched.
  public var fetched: Double { newest + older }
  /// Share of the step's rows that are in the cache.
  public var hitShare: Double { 1 - fetched / drawn }

  /// Ages that are told apart.
  private static let agesAtMost = 8192

  /// - Parameters:
  ///   - cacheRows: rows that the worker's cache has room for.
  ///   - unsealed: of the newest rows, those that only the coordinator has; nil if it has all of them.
  public init(_ definition: RunDefinition, cacheRows: Int, unsealed: Double?) {
    let configuration = definition.configuration
    let (size, batch) = (Double(configuration.memorySize), Double(configuration.batchSize))
    drawn = Double(configuration.blocksUsed * configuration.blockSize)
    let share = drawn / size
    let life = max(1, size / batch)
    let ages = min(Int(life.rounded()), Self.agesAtMost)
    let stepsAnAge = life / Double(ages)
    /// Of a row, by age: expected fetches while it has that age.
    let fetches: [Double]
    if cacheRows == 0 {
      fetches = Array(repeating: share * stepsAnAge, count: ages)
    } else {
      // At least once in the steps of an age.
      let hazard = 1 - Self.power(1 - share, stepsAnAge)
      func misses(keptFor kept: Double) -> [Double] { Self.fetches(hazard: hazard, ages: ages, keptFor: kept) }
      // The longest stay that the cache has room for: the rows that come in its course fit.
      var (low, high) = (0.0, Double(ages))
      if cacheRows >= configuration.memorySize { low = high }
      while high - low > 1e-3 * high {
        let kept = (low + high) / 2
        let room = kept * stepsAnAge * batch * misses(keptFor: kept).reduce(0, +)
        if room <= Double(cacheRows) { low = kept } else { high = kept }
      }
      // A stay that is shorter than what is told apart is short beside a life: then hits have the cache's share.
      let isCoarse = stepsAnAge > 1 && low < 8 && cacheRows < configuration.memorySize
      fetches =
        isCoarse
        ? Array(repeating: share * stepsAnAge * (1 - Double(cacheRows) / size), count: ages) : misses(keptFor: low)
    }
    newest = min(batch, size) * share
    let all = max(batch * fetches.reduce(0, +), newest)
    older = all - newest
    olderBesideNewRows = cacheRows > 0 ? max(0, older - (min(batch, size) - newest)) : older
    let young = unsealed.map { $0 / (batch * stepsAnAge) } ?? .infinity
    let unseen = fetches.enumerated().reduce(0) { $0 + $1.element * min(1, max(0, young - Double($1.offset))) }
    fromCoordinator = min(all, max(newest, batch * unseen))
  }

  /// Of a row, by age: expected fetches, where it is fetched at the first draw outside the cache and kept for so many
  /// ages.
  private static func fetches(hazard: Double, ages: Int, keptFor kept: Double) -> [Double] {
    var fetches = [Double](repeating: 0, count: ages)
    let whole = Int(kept)
    let part = kept - Double(whole)
    // Fetched in the last `whole` ages; of those of the age before, a part is still here.
    var inside = 0.0
    for age in 0..<ages {
      let older = age > whole ? fetches[age - whole - 1] : 0
      fetches[age] = max(0, 1 - inside - part * older) * hazard
      inside += fetches[age] - (age >= whole ? fetches[age - whole] : 0)
    }
    return fetches
  }

  private static func power(_ base: Double, _ exponent: Double) -> Double {
    // Plans are for people: no bits depend on it.
    base <= 0 ? 0 : Foundation.pow(base, exponent)
  }
}
