import Durability
import Foundation
import MemoryBank
import Messages
import Numerics

/// A memory shard's directory, locked by the one process that serves it.
///
///     shard.json      its identity, the run and shape of its rows, and the incarnation that was followed last
///     shard.lock      held while it is served
///     rows-*          extents
package final class ShardDirectory: Sendable {
  static let version = 1
  private static let recordName = "shard.json"
  private static let sizeAtMost = 1 << 16

  private struct Record: Codable {
    var version: Int
    var shard: Digest
    /// Nil until the first coordinator has told.
    var run: Digest?
    var width: Int?
    var rowsPerExtent: Int?
    var rowType: RowType?
    /// Nil until the first coordinator has told.
    var incarnation: UInt64?
  }

  let path: String
  package let shard: ShardID
  /// Of the rows that are here; nil in a directory that no run has used yet.
  package let layout: ExtentLayout?
  /// The newest incarnation of the run that was followed; 0 for none.
  package let incarnation: Incarnation
  private let storage: any Storage
  private let lock: any StorageLock

  /// Opens a shard's directory, or makes one.
  package convenience init(_ path: String, in storage: any Storage) throws {
    var random = SystemRandomNumberGenerator()
    try self.init(path, in: storage, random: &random)
  }

  /// Opens a shard's directory, or makes one.
  /// - Parameter random: where a new shard's identity comes from.
  /// - Throws: `DurabilityError.locked` if another process serves it; `MemoryError.notAShard`, `.damagedIdentity`,
  ///   `.newerIdentity`.
  package init(_ path: String, in storage: any Storage, random: inout some RandomNumberGenerator) throws {
    self.path = path
    self.storage = storage
    try storage.makeDurableDirectory(path)
    lock = try storage.lock("\(path)/shard.lock")
    let file = "\(path)/\(Self.recordName)"
    if try !storage.exists(file) {
      let own = ["shard.lock", "\(Self.recordName).tmp"]
      guard try storage.list(path).allSatisfy(own.contains) else { throw MemoryError.notAShard(directory: path) }
      let shard = Digest(
        high: .random(in: 1 ... .max, using: &random), low: .random(in: 0 ... .max, using: &random))
      try Self.write(Record(version: Self.version, shard: shard), to: file, in: storage)
    }
    let record = try Self.record(in: file, of: storage)
    shard = ShardID(record.shard)
    incarnation = Incarnation(record.incarnation ?? 0)
    if let run = record.run, let width = record.width, let rows = record.rowsPerExtent, let type = record.rowType {
      guard 1...(1 << 24) ~= width, 1...(1 << 32) ~= rows else { throw MemoryError.damagedIdentity(file: file) }
      layout = ExtentLayout(run: run, width: width, capacity: rows, rowType: type)
    } else {
      layout = nil
    }
  }

  private static func record(in file: String, of storage: any Storage) throws -> Record {
    struct Versioned: Decodable { let version: Int }
    let bytes = Data(try storage.readWhole(file, limit: sizeAtMost))
    guard let version = try? JSONDecoder().decode(Versioned.self, from: bytes).version else {
      throw MemoryError.damagedIdentity(file: file)
    }
    guard version <= Self.version else {
      throw MemoryError.newerIdentity(file: file, version: version, supported: Self.version)
    }
    guard let record = try? JSONDecoder().decode(Record.self, from: bytes) else {
      throw MemoryError.damagedIdentity(file: file)
    }
    return record
  }

  /// Looks whether directories are those of a run's shards, which may be serving: nothing is locked or changed.
  /// - Throws: `MemoryError.noShard`, `.otherRunsShard`, `.damagedIdentity`, `.newerIdentity`; `DurabilityError`.
  static func check(_ directories: [String], areOf run: Digest, in storage: any Storage) throws {
    for directory in directories {
      let file = "\(directory)/\(recordName)"
      guard try storage.exists(file) else { throw MemoryError.noShard(directory: directory) }
      let own = try record(in: file, of: storage).run
      guard own == run else {
        throw MemoryError.otherRunsShard(directory: directory, own: own.map { "\($0)" }, run: "\(run)")
      }
    }
  }

  /// From now on, durably, the directory is for rows of this run and shape, and no older incarnation of it is followed.
  /// - Throws: `MemoryError.otherRun`, `.otherShape` if it has others; `DurabilityError`.
  package func adopt(_ layout: ExtentLayout, following incarnation: Incarnation) throws {
    if let own = self.layout {
      guard own.run == layout.run else {
        throw MemoryError.otherRun(directory: path, own: "\(own.run)", coordinators: "\(layout.run)")
      }
      guard own == layout else { throw MemoryError.otherShape(directory: path) }
    }
    try verifyLock()
    try Self.write(
      Record(
        version: Self.version, shard: shard.digest, run: layout.run, width: layout.width,
        rowsPerExtent: layout.capacity, rowType: layout.rowType, incarnation: incarnation.number),
      to: "\(path)/\(Self.recordName)", in: storage)
  }

  private static func write(_ record: Record, to file: String, in storage: any Storage) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    try storage.writeAtomically(encoder.encode(record), to: file)
  }

  /// - Throws: `DurabilityError.lockLost` if another process may serve it by now.
  package func verifyLock() throws { try lock.verify() }

  package func release() { lock.release() }
}
