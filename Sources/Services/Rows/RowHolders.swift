import MemoryBank
import Messages
import Numerics
import Synchronization

/// Who is asked for which row: the table is kept until a lease names another version.
package final class RowHolders: Sendable {
  /// A shard that did not answer in time is asked after all others for so long.
  private static let avoidance = Duration.seconds(30)

  let layout: ExtentLayout
  private let client: @Sendable (ExtentSource) throws -> BulkClient
  private let asksCoordinator: Bool
  /// Spreads askers over the holders of an extent.
  private let turn: Int
  private let current = Mutex(HolderTable.none)
  /// Until when each is asked last.
  private let slow = Mutex<[Endpoint: ContinuousClock.Instant]>([:])
  private let log: ServiceLog

  /// - Parameters:
  ///   - peer: whose requests these are.
  ///   - asksCoordinator: whether it has rows; not where it is itself who asks.
  ///   - log: takes which shards do not answer.
  ///   - client: asks the coordinator, or a shard.
  package init(
    layout: ExtentLayout, peer: PeerID, asksCoordinator: Bool = true, log: @escaping ServiceLog = { _, _ in },
    client: @escaping @Sendable (ExtentSource) throws -> BulkClient
  ) {
    self.client = client
    self.asksCoordinator = asksCoordinator
    self.log = log
    self.layout = layout
    turn = Int(peer.rawValue >> 1)
  }

  var table: HolderTable { current.withLock { $0 } }

  /// Brings the table to a version, if it is another one.
  /// - Parameter rows: the stored rows that are of interest.
  /// - Throws: `BulkError`, `WireError`.
  package func bring(to version: UInt64, rows: Range<Int>) throws {
    guard version != table.version else { return }
    guard version != 0, !rows.isEmpty else {
      return current.withLock { $0 = HolderTable(version: version, first: 0, shards: [], holders: []) }
    }
    let coordinator = try client(.coordinator)
    try take(rows: rows) { first, count in
      let (reply, _) = try coordinator.ask(.holders(first: first, count: count))
      guard case .holders(let piece) = reply, piece.first == first, piece.holders.count <= count else {
        throw BulkError.otherBits("the table of memory shards", from: coordinator.endpoint)
      }
      return piece
    }
  }

  /// Takes the newest table.
  /// - Parameters:
  ///   - rows: the stored rows that are of interest.
  ///   - piece: of the table, about so many extents from one on.
  /// - Throws: `BulkError` if it changes meanwhile; what `piece` throws.
  func take(rows: Range<Int>, piece: (_ first: Int, _ count: Int) throws -> HolderTable) throws {
    let extents = layout.index(of: rows.lowerBound)..<layout.index(of: rows.upperBound - 1) + 1
    let new = try HolderTable(of: extents, piece: piece)
    current.withLock { $0 = new }
  }

  /// The clients of these holders, the first to be asked first: shards, the coordinator, shards that did not answer lately.
  /// - Throws: `BulkError` if there is nobody; `WireError`.
  func clients(of holders: [Int], in table: HolderTable) throws -> [BulkClient] {
    let addresses = holders.map { table.shards[$0] }
    let start = addresses.isEmpty ? 0 : turn % addresses.count
    let rotated = addresses[start...] + addresses[..<start]
    let now = ContinuousClock.now
    let avoided = slow.withLock { slow in
      slow = slow.filter { $0.value > now }
      return Set(slow.keys)
    }
    let clients =
      try rotated.filter { !avoided.contains($0.endpoint) }.map { try client(.shard($0)) }
      + (asksCoordinator ? [client(.coordinator)] : [])
      + rotated.filter { avoided.contains($0.endpoint) }.map { try client(.shard($0)) }
    guard !clients.isEmpty else { throw BulkError.rowsUnavailable("no memory shard that has them is here") }
    return clients
  }

  /// From now on these are asked last, if they are shards.
  func avoid(_ endpoints: Set<Endpoint>) {
    guard !endpoints.isEmpty else { return }
    let shards = Set(table.shards.map(\.endpoint))
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

extension HolderTable {
  /// Extents whose holders are asked for at once.
  private static let extentsPerRequest = 4096

  /// Nobody is known: the coordinator serves all rows.
  fileprivate static let none = HolderTable(version: 0, first: 0, shards: [], holders: [])

  /// Which holders an extent has: rows with the same answer are asked for together. Empty: the coordinator alone.
  func holders(ofExtent index: Int) -> [Int] { holders.indices.contains(index - first) ? holders[index - first] : [] }

  /// Puts a table together.
  fileprivate init(of extents: Range<Int>, piece: (_ first: Int, _ count: Int) throws -> HolderTable) throws {
    self.init(version: 0, first: extents.lowerBound, shards: [], holders: [])
    while first + holders.count < extents.upperBound {
      let from = first + holders.count
      let count = min(Self.extentsPerRequest, extents.upperBound - from)
      let piece = try piece(from, count)
      // A newer one is as good, if all of it is of one version.
      if holders.isEmpty { (version, shards) = (piece.version, piece.shards) }
      guard piece.version == version else { throw BulkError.rowsUnavailable("the memory's shards just changed") }
      holders += piece.holders
      // Extents past these are not sealed yet: the coordinator has them.
      if piece.holders.count < count { break }
    }
  }
}
