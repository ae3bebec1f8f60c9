import Coordination
import Messages
import Numerics
import TestSupport

/// The rows of a run, where they are, and the checks of that.
extension ShardSimulation {
  static func mixed(_ digest: Digest, _ number: UInt64) -> Digest {
    let low = SplitMix64.mixed(digest.low ^ SplitMix64.mixed(number))
    return Digest(high: SplitMix64.mixed(digest.high ^ low), low: low | 1)
  }

  func rows(of extent: Int) -> Range<Int> {
    extent * memory.rowsPerExtent..<(extent + 1) * memory.rowsPerExtent
  }

  static func isRight(_ rows: [UInt64], _ extent: ExtentIdentity) -> Bool {
    rows.reduce(extent.before) { mixed($0, $1) } == extent.after
  }

  func after(_ rows: [UInt64], _ extent: Int) -> UInt64 {
    // What its header would say; the chain so far is the same in all lives of a run.
    rows.reduce(chain[min(self.rows(of: extent).lowerBound, chain.count - 1)]) { Self.mixed($0, $1) }.low
  }

  func local(_ extent: Int) -> [UInt64]? {
    let rows = rows(of: extent).compactMap { disk.rows[$0] }
    return rows.count == memory.rowsPerExtent ? rows : nil
  }

  var window: Range<Int> { max(0, version.rows - memory.size)..<version.rows }

  /// Every sealed extent of the step's memory is on some disk that is not lost.
  mutating func checkThatNothingIsLost() {
    guard machine != nil, !window.isEmpty else { return }
    for extent in window.lowerBound / memory.rowsPerExtent...(window.upperBound - 1) / memory.rowsPerExtent {
      guard rows(of: extent).upperBound <= version.rows, local(extent) == nil else { continue }
      if !shards.contains(where: { !$0.isGone && $0.disk[extent] != nil }) { fail("extent \(extent) is on no disk") }
    }
  }

  /// What the coordinator counts on a shard for, that shard has, or says soon that it has not.
  mutating func checkThatShardsHaveWhatCounts() {
    var wrong: [ShardID: [Int: UInt64]] = [:]
    defer { wronglyCounted = wrong }
    guard let machine, !window.isEmpty else { return }
    let first = window.lowerBound / memory.rowsPerExtent
    let table = machine.holders(first: first, count: (window.upperBound - 1) / memory.rowsPerExtent - first + 1)
    for (offset, holders) in table.holders.enumerated() {
      for holder in holders {
        guard let shard = shards.first(where: { !$0.isGone && $0.address == table.shards[holder] }), shard.isUp,
          shard.cutUntil <= time, shard.disk[first + offset] == nil
        else { continue }
        let since = wronglyCounted[shard.id]?[first + offset] ?? time
        wrong[shard.id, default: [:]][first + offset] = since
        if time - since > Self.patience {
          fail("extent \(first + offset) counts on \(shard.id), which does not have it")
        }
      }
    }
  }

  /// Whoever is told to remove an extent does not count as one who has it, before it is told.
  mutating func checkThatNobodyCountsOn(_ extent: Int, of shard: SimulatedShard) {
    // At an address that was another's before, that one may count for a while yet.
    guard !shards.contains(where: { $0.id != shard.id && $0.address == shard.address }),
      let table = machine?.holders(first: extent, count: 1), let holders = table.holders.first
    else { return }
    if holders.contains(where: { table.shards[$0] == shard.address }) {
      fail("extent \(extent) goes from \(shard.id), which counts for it")
    }
  }

  /// For a word that is said each second, and lost one time in five at most.
  private static let patience = 40 * second
}
