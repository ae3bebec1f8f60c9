import Durability
import Numerics

/// The layout of an extent: one file of consecutive rows.
///
///     0    "MASSLROW"                  32  run identity (16 bytes)
///     8    format version (4 bytes)    48  once sealed by a shard: its record's `mark`; zeros before (8 bytes)
///     12   row type: 1 fp32, 2 fp16    56  checksum of bytes 0..<56
///     16   width, elements a row (4)   64  rows: `width` elements, then a checksum of them and the row's number (8 bytes)
///     20   rows a file (4)
///     24   number of its first row (8)
///
/// Integers are little-endian. The header's checksum is the low half of XXH3's 128 bits; a row's is XXH3's 64 bits of its
/// elements, xored with the row's number times 2^64 / φ, so that another row's bytes do not pass for it.
public struct ExtentLayout: Hashable, Sendable {
  static let magic: [UInt8] = Array("MASSLROW".utf8)
  static let version = 2
  static let headerSize = 64
  /// Bytes of rows that a file has at most where no number of rows is given: 65,536 rows of 256 floats.
  static let fileSizeAtMost = 64 << 20

  public let run: Digest
  /// Elements a row.
  public let width: Int
  /// Rows in a full file.
  public let capacity: Int
  public let rowType: RowType

  /// - Parameter capacity: rows a file; if 0 as many as make at most 64 MiB, a power of two, at most 65,536.
  public init(run: Digest, width: Int, capacity: Int = 0, rowType: RowType = .fp32) {
    invariant(width > 0 && capacity >= 0, "extents of \(capacity) rows of \(width)")
    self.run = run
    self.width = width
    self.capacity = capacity > 0 ? capacity : Self.capacity(rowSize: width * rowType.bytes)
    self.rowType = rowType
  }

  private static func capacity(rowSize: Int) -> Int {
    var rows = 65_536
    while rows > 1 && rows * rowSize > fileSizeAtMost { rows /= 2 }
    return rows
  }
}

// MARK: - Sizes and places

extension ExtentLayout {
  /// Bytes of a row as it is stored and sent.
  public var rowSize: Int { width * rowType.bytes }
  /// Bytes of a row in a file: with its checksum.
  public var recordSize: Int { rowSize + 8 }
  public var fileSize: Int { Self.headerSize + capacity * recordSize }

  /// The extent that holds a row.
  public func index(of row: Int) -> Int { row / capacity }
  /// The numbers of an extent's rows.
  public func rows(of index: Int) -> Range<Int> { (index * capacity)..<((index + 1) * capacity) }
  func offset(of row: Int) -> Int { Self.headerSize + row % capacity * recordSize }

  /// "rows-000000065536": named for its first row.
  func name(of index: Int) -> String {
    let number = String(index * capacity)
    return "rows-" + String(repeating: "0", count: max(0, 12 - number.count)) + number
  }

  /// Nil if it is not the name of an extent of this capacity.
  func index(named name: String) -> Int? {
    guard name.hasPrefix("rows-"), let first = Int(name.dropFirst(5)), first >= 0, first % capacity == 0 else {
      return nil
    }
    return self.name(of: first / capacity) == name ? first / capacity : nil
  }
}

// MARK: - Header

extension ExtentLayout {
  /// - Parameter mark: of the record that the rows fulfil; 0 while they do not.
  func header(of index: Int, mark: UInt64 = 0) -> [UInt8] {
    var header = Self.magic
    func append<Value: FixedWidthInteger>(_ value: Value) {
      withUnsafeBytes(of: value.littleEndian) { header.append(contentsOf: $0) }
    }
    append(UInt32(Self.version))
    append(UInt32(rowType.code))
    append(UInt32(width))
    append(UInt32(capacity))
    append(UInt64(index * capacity))
    append(run.high)
    append(run.low)
    append(mark)
    append(Digest(of: header).low)
    return header
  }

  /// Throws unless the file's header is one that `header(of:mark:)` makes, saying what differs.
  /// - Parameter index: of the extent; if nil, only what all extents share is looked at.
  /// - Returns: the mark.
  @discardableResult
  func check(headerOf file: any StorageFile, index: Int?) throws -> UInt64 {
    var header = [UInt8](repeating: 0, count: Self.headerSize)
    try header.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    func value<Value: FixedWidthInteger>(_ type: Value.Type, at offset: Int) -> Value {
      Value(littleEndian: header.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) })
    }
    guard Array(header[..<8]) == Self.magic, value(UInt64.self, at: 56) == Digest(of: header[..<56]).low else {
      throw MemoryBankError.damagedHeader(file: file.path)
    }
    let version = Int(value(UInt32.self, at: 8))
    guard version == Self.version else {
      throw MemoryBankError.otherFormat(file: file.path, version: version, supported: Self.version)
    }
    let found = Digest(high: value(UInt64.self, at: 32), low: value(UInt64.self, at: 40))
    let (code, first) = (value(UInt32.self, at: 12), value(UInt64.self, at: 24))
    func name(ofType code: Int) -> String { RowType.allCases.first { $0.code == code }?.rawValue ?? "\(code)" }
    let properties: [(name: String, expected: String, found: String)] = [
      ("run", "\(run)", "\(found)"),
      ("row type", rowType.rawValue, name(ofType: Int(code))),
      ("row width", "\(width)", "\(value(UInt32.self, at: 16))"),
      ("number of rows", "\(capacity)", "\(value(UInt32.self, at: 20))"),
      ("first row", "\(index.map { "\($0 * capacity)" } ?? "\(first)")", "\(first)"),
    ]
    for property in properties where property.expected != property.found {
      throw MemoryBankError.foreignExtent(
        file: file.path, property: property.name, expected: property.expected, found: property.found)
    }
    return value(UInt64.self, at: 48)
  }
}

// MARK: - Records

extension ExtentLayout {
  /// The bytes of consecutive rows as they stand in a file.
  package func records(of rows: Matrix, _ indices: Range<Int>, firstNumber: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: indices.count * recordSize) { buffer, count in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      for (place, index) in indices.enumerated() {
        let record = UnsafeMutableRawBufferPointer(rebasing: bytes[(place * recordSize)..<((place + 1) * recordSize)])
        let row = UnsafeMutableRawBufferPointer(rebasing: record[..<rowSize])
        rowType.store(rows.row(at: index), into: row)
        let sum = checksum(of: UnsafeRawBufferPointer(row), number: firstNumber + place)
        record.storeBytes(of: sum.littleEndian, toByteOffset: rowSize, as: UInt64.self)
      }
      count = indices.count * recordSize
    }
  }

  /// Leads the memory's digest over whole records.
  package func append(_ records: [UInt8], to chain: inout MemoryDigest) {
    records.withUnsafeBytes { bytes in
      forEachRecord(in: bytes, from: 0) { chain.append(row: row(of: $1)) }
    }
  }

  /// The bytes of a row in its record.
  func row(of record: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: record[..<rowSize])
  }

  /// Whether a record's row matches its checksum.
  func isWhole(_ record: UnsafeRawBufferPointer, number: Int) -> Bool {
    let sum = UInt64(littleEndian: record.loadUnaligned(fromByteOffset: rowSize, as: UInt64.self))
    return sum == checksum(of: row(of: record), number: number)
  }

  /// The records of consecutive rows, one after the other in `bytes`, with the numbers of their rows.
  func forEachRecord(
    in bytes: UnsafeRawBufferPointer, from number: Int, _ body: (Int, UnsafeRawBufferPointer) throws -> Void
  ) rethrows {
    for index in 0..<(bytes.count / recordSize) {
      try body(
        number + index, UnsafeRawBufferPointer(rebasing: bytes[(index * recordSize)..<((index + 1) * recordSize)]))
    }
  }

  func checksum(of row: UnsafeRawBufferPointer, number: Int) -> UInt64 {
    Checksum.of(row) ^ UInt64(number) &* 0x9E37_79B9_7F4A_7C15
  }
}
