import Durability
import Foundation
import Numerics

/// A run's whole extents, and which shards hold each: `extents.json` beside the coordinator's own rows.
///
/// It is durable before a manifest counts an extent's rows, and before the coordinator lets go of a file that a shard
/// holds. A value: changing it writes nothing.
public struct ExtentLedger: Equatable, Sendable {
  /// A whole extent.
  public struct Entry: Hashable, Sendable, Codable {
    public let record: ExtentRecord
    /// The shards that made it durable, by their identity, in order.
    public var holders: [Digest]

    public init(record: ExtentRecord, holders: [Digest] = []) {
      self.record = record
      self.holders = holders
    }
  }

  /// A shard that holds extents, as a start has to know it before it hears of it.
  public struct Shard: Hashable, Sendable, Codable {
    /// For people.
    public var name: String
    /// Where it served rows last.
    public var endpoint: String?
    /// It gives its extents to others, and then leaves.
    public var isDraining: Bool

    public init(name: String, endpoint: String? = nil, isDraining: Bool = false) {
      self.name = name
      self.endpoint = endpoint
      self.isDraining = isDraining
    }
  }

  static let version = 1
  static let sizeAtMost = 1 << 30

  /// By extent.
  public private(set) var entries: [Int: Entry] = [:]
  /// By identity: those that hold extents; empty in a ledger from before shards were recorded.
  public var shards: [Digest: Shard] = [:]

  public init() {}

  public var records: [ExtentRecord] { entries.values.map(\.record).sorted { $0.index < $1.index } }

  /// Extents that a shard holds.
  public var elsewhere: Set<Int> { Set(entries.values.filter { !$0.holders.isEmpty }.map(\.record.index)) }

  public subscript(extent: Int) -> Entry? { entries[extent] }

  /// A shard's name and identity, for people.
  func words(for shard: Digest) -> String { shards[shard].map { "'\($0.name)' (\(shard))" } ?? "\(shard)" }
}

// MARK: - Changing

extension ExtentLedger {
  public mutating func add(_ record: ExtentRecord) {
    // Sealed again after a resume, the same rows are still where they were.
    if entries[record.index]?.record != record { entries[record.index] = Entry(record: record) }
  }

  /// - Returns: whether that is something new. An extent without a record has no holders.
  @discardableResult
  public mutating func set(holders: some Sequence<Digest>, of extent: Int) -> Bool {
    let sorted = Set(holders).sorted { ($0.high, $0.low) < ($1.high, $1.low) }
    guard let old = entries[extent]?.holders, old != sorted else { return false }
    entries[extent]?.holders = sorted
    return true
  }

  /// Forgets extents: pruned ones, or ones that reach past the rows of a checkpoint.
  public mutating func forget(where isGone: (Int) -> Bool) {
    entries = entries.filter { !isGone($0.key) }
  }
}

// MARK: - On disk

extension ExtentLedger {
  private struct Document: Codable {
    var version: Int
    var run: Digest
    var digest: Digest
    var extents: [Line]
    /// Optional, for older ledgers lack both; older readers pass them over.
    var shards: [ShardLine]?
    var shardsDigest: Digest?
  }

  private struct ShardLine: Codable {
    var shard: Digest
    var record: Shard
  }

  private struct Line: Codable {
    var index: Int
    var before: Digest
    var after: Digest
    var holders: [Digest]
  }

  private static func encoded(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return Array(try encoder.encode(value))
  }

  public func write(to path: String, run: Digest, in storage: any Storage) throws {
    let lines = entries.values.sorted { $0.record.index < $1.record.index }.map {
      Line(index: $0.record.index, before: $0.record.before, after: $0.record.after, holders: $0.holders)
    }
    let shards = shards.map { ShardLine(shard: $0, record: $1) }
      .sorted { ($0.shard.high, $0.shard.low) < ($1.shard.high, $1.shard.low) }
    let document = Document(
      version: Self.version, run: run, digest: Digest(of: try Self.encoded(lines)), extents: lines, shards: shards,
      shardsDigest: Digest(of: try Self.encoded(shards)))
    try storage.writeAtomically(Self.encoded(document), to: path)
  }

  /// Reads the ledger of a run; an empty one if there is none.
  /// - Throws: `MemoryBankError.damagedLedger`, `.otherFormat`, `.foreignExtent`; `DurabilityError`.
  public init(path: String, run: Digest, in storage: any Storage) throws {
    guard try storage.exists(path) else { return }
    let bytes = Data(try storage.readWhole(path, limit: Self.sizeAtMost))
    struct Versioned: Decodable { let version: Int }
    let document: Document
    do {
      let version = try JSONDecoder().decode(Versioned.self, from: bytes).version
      guard version <= Self.version else {
        throw MemoryBankError.otherFormat(file: path, version: version, supported: Self.version)
      }
      guard version > 0 else { throw MemoryBankError.damagedLedger(file: path) }
      document = try JSONDecoder().decode(Document.self, from: bytes)
    } catch is DecodingError {
      throw MemoryBankError.damagedLedger(file: path)
    }
    guard try document.digest == Digest(of: Self.encoded(document.extents)),
      document.extents.allSatisfy({ (0...(1 << 48)).contains($0.index) }),
      try document.shards.map({ Digest(of: try Self.encoded($0)) }) == document.shardsDigest
    else { throw MemoryBankError.damagedLedger(file: path) }
    guard document.run == run else {
      throw MemoryBankError.foreignExtent(file: path, property: "run", expected: "\(run)", found: "\(document.run)")
    }
    for line in document.extents {
      entries[line.index] = Entry(
        record: ExtentRecord(index: line.index, before: line.before, after: line.after), holders: line.holders)
    }
    shards = Dictionary(document.shards?.map { ($0.shard, $0.record) } ?? [], uniquingKeysWith: { $1 })
  }
}
