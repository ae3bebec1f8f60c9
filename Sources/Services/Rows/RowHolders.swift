import MemoryBank
import Messages
import Numerics
import Synchronization

/// The coordinator's table of who holds which extent, as a step's rows are asked for by it.
struct HolderView: Sendable {
  /// 0: no table; the coordinator serves all rows.
  var version: UInt64 = 0
  let layout: ExtentLayout
  var shards: [ShardAddress] = []
  /// By extent, from `first` on: indices into `shards`.
  var first = 0
  var holders: [[Int]] = []

  /// Which holders a row's extent has: rows with the same answer are asked for together. Empty: the coordinator alone.
  func holders(ofRow row: Int) -> [Int] {
    let place = layout.index(of: row) - first
    return holders.indices.contains(place) ? holders[place] : []
  }
}

extension HolderView {
  /// Extents whose holders are asked for at once.
  private static let extentsPerRequest = 4096

  /// - Parameters:
  ///   - rows: the stored rows that are of interest, at least one.
  ///   - table: a piece of the table: holders of so many extents from one on.
  /// - Throws: `WorkerError` if it changes meanwhile; what `table` throws.
  init(layout: ExtentLayout, rows: Range<Int>, table: (_ first: Int, _ count: Int) throws -> HolderTable) throws {
    let (first, end) = (layout.index(of: rows.lowerBound), layout.index(of: rows.upperBound - 1) + 1)
    self.init(layout: layout, first: first)
    while first + holders.count < end {
      let from = first + holders.count
      let count = min(Self.extentsPerRequest, end - from)
      let piece = try table(from, count)
      guard piece.first == from, piece.holders.count <= count else {
        throw WorkerError.otherBits("the table of memory shards")
      }
      // A newer one is as good, if all of it is of one version.
      if holders.isEmpty { (version, shards) = (piece.version, piece.shards) }
      guard piece.version == version else { throw WorkerError.rowsUnavailable("the memory's shards just changed") }
      holders += piece.holders
      // Extents past these are not sealed yet: the coordinator has them.
      if piece.holders.count < count { break }
    }
  }
}

/// Whom a worker asks for which row: the table is kept until a lease names another version.
package final class RowHolders: Sendable {
  /// A shard that did not answer in time is asked after all others for so long.
  private static let avoidance = Duration.seconds(30)

  private let client: @Sendable (ExtentSource) throws -> BulkClient
  private let layout: ExtentLayout
  /// Spreads workers over the holders of an extent.
  private let turn: Int
  private let table: Mutex<HolderView>
  /// Until when each is asked last.
  private let slow = Mutex<[Endpoint: ContinuousClock.Instant]>([:])
  private let log: ServiceLog

  /// - Parameters:
  ///   - peer: whose requests these are.
  ///   - log: takes which shards do not answer.
  ///   - client: asks the coordinator, or a shard.
  package init(
    layout: ExtentLayout, peer: PeerID, log: @escaping ServiceLog = { _, _ in },
    client: @escaping @Sendable (ExtentSource) throws -> BulkClient
  ) {
    self.client = client
    self.log = log
    self.layout = layout
    turn = Int(peer.rawValue >> 1)
    table = Mutex(HolderView(layout: layout))
  }

  /// Brings the table to a version, if it is another one.
  /// - Parameter rows: the stored rows that are of interest.
  /// - Throws: `WorkerError`.
  package func bring(to version: UInt64, rows: Range<Int>) throws {
    guard version != table.withLock({ $0.version }) else { return }
    guard version != 0, !rows.isEmpty else {
      return table.withLock { $0 = HolderView(version: version, layout: layout) }
    }
    let new = try HolderView(layout: layout, rows: rows) { [client] first, count in
      let (reply, _) = try client(.coordinator).ask(.holders(first: first, count: count))
      guard case .holders(let piece) = reply else { throw WorkerError.otherBits("the table of memory shards") }
      return piece
    }
    table.withLock { $0 = new }
  }

  var view: HolderView { table.withLock { $0 } }

  /// The clients of these holders, the first to be asked first: shards, the coordinator, shards that did not answer lately.
  /// - Throws: `WireError`.
  func clients(of holders: [Int], in view: HolderView) throws -> [BulkClient] {
    let addresses = holders.map { view.shards[$0] }
    let start = addresses.isEmpty ? 0 : turn % addresses.count
    let rotated = addresses[start...] + addresses[..<start]
    let now = ContinuousClock.now
    let avoided = slow.withLock { slow in
      slow = slow.filter { $0.value > now }
      return Set(slow.keys)
    }
    return try rotated.filter { !avoided.contains($0.endpoint) }.map { try client(.shard($0)) } + [client(.coordinator)]
      + rotated.filter { avoided.contains($0.endpoint) }.map { try client(.shard($0)) }
  }

  /// From now on these are asked last, if they are shards.
  func avoid(_ endpoints: Set<Endpoint>) {
    guard !endpoints.isEmpty else { return }
    let shards = Set(view.shards.map(\.endpoint))
    let new = slow.withLock { slow in
      let new = endpoints.intersection(shards).subtracting(slow.keys)
      for endpoint in new { slow[endpoint] = .now + Self.avoidance }
      return new
    }
    for endpoint in new.map(\.description).sorted() {
      log(
        .warning,
        "The memory shard at \(endpoint) does not answer: its rows come from others for \(Self.avoidance), if they have "
          + "them.")
    }
  }
}
