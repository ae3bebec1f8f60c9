import Durability
import Numerics

/// A copy of an extent under way: rows in order, each checked; whole only if they are the ones that the record names.
/// Not thread-safe. One that is let go of without `seal` having returned leaves nothing behind.
public final class ExtentWriter {
  public let record: ExtentRecord
  /// Rows that are here.
  public private(set) var rows = 0
  private let owner: any ExtentOwner
  private let mark: UInt64
  private let file: any StorageFile
  private var chain: MemoryDigest
  private var isSealed = false

  /// Takes the disk's space for the whole extent.
  init(owner: any ExtentOwner, record: ExtentRecord, mark: UInt64, path: String) throws {
    invariant(record.index >= 0)
    let file = try owner.storage.open(path, .replacing)
    do {
      try file.allocate(owner.layout.fileSize)
      try owner.layout.header(of: record.index).withUnsafeBytes { try file.write($0, at: 0) }
    } catch {
      try? owner.storage.remove(path)
      throw error
    }
    (self.owner, self.record, self.mark, self.file) = (owner, record, mark, file)
    chain = MemoryDigest(resuming: record.before)
  }

  deinit { owner.ended(file, isSealed: isSealed) }

  /// Appends the next rows' records, as `ExtentStore.records` gives them.
  /// - Throws: `MemoryBankError.brokenCopy` if they are not whole: nothing was appended, and another source may do better;
  ///   `DurabilityError`.
  public func append(records: UnsafeRawBufferPointer) throws {
    let layout = owner.layout
    let (count, rest) = records.count.quotientAndRemainder(dividingBy: layout.recordSize)
    let first = record.index * layout.capacity + rows
    guard rest == 0, count <= layout.capacity - rows else {
      throw MemoryBankError.brokenCopy(
        extent: record.index, reason: "\(records.count) bytes came for at most \(layout.capacity - rows) rows")
    }
    var chain = chain
    try layout.forEachRecord(in: records, from: first) { number, bytes in
      guard layout.isWhole(bytes, number: number) else {
        throw MemoryBankError.brokenCopy(
          extent: record.index, reason: "row \(number) does not match its checksum")
      }
      chain.append(row: layout.row(of: bytes))
    }
    try file.write(records, at: layout.offset(of: first))
    self.chain = chain
    rows += count
  }

  public func append(records: [UInt8]) throws { try records.withUnsafeBytes { try append(records: $0) } }

  /// Returns when the extent is whole and would survive a power cut. After a throw begin a new copy.
  /// - Throws: `MemoryBankError.brokenCopy` if rows are lacking, or are not those of the record; `DurabilityError`.
  public func seal() throws {
    guard rows == owner.layout.capacity else {
      throw MemoryBankError.brokenCopy(extent: record.index, reason: "only \(rows) of its rows came")
    }
    guard chain.state == record.after else {
      throw MemoryBankError.brokenCopy(
        extent: record.index, reason: "its rows lead to \(chain.state), not to \(record.after)")
    }
    try file.synchronize()
    // Last, so that a header with a mark says that the rows are there.
    if mark != 0 {
      try owner.layout.header(of: record.index, mark: mark).withUnsafeBytes { try file.write($0, at: 0) }
      try file.synchronize()
    }
    try owner.admit(file, record)
    isSealed = true
  }
}

/// Who has a directory of extents.
protocol ExtentOwner: Sendable {
  var layout: ExtentLayout { get }
  var storage: any Storage { get }
  /// Gives a whole and durable copy the name of its extent, durably.
  func admit(_ file: any StorageFile, _ record: ExtentRecord) throws
  /// A copy ended, whatever came of it.
  func ended(_ file: any StorageFile, isSealed: Bool)
}
