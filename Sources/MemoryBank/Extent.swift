import Durability
import Numerics

/// The layout of one file of consecutive rows.
///
///     0    "MASSLROW"                  32  run identity (16 bytes)
///     8    format version (4 bytes)    48  zeros (8 bytes)
///     12   element type: 1 = fp32 (4)  56  checksum of bytes 0..<56
///     16   width, floats a row (4)     64  rows: `width` floats, then the checksum of row number and floats (8 bytes)
///     20   rows a file (4)
///     24   number of its first row (8)
///
/// Integers are little-endian; a checksum is the low half of XXH3's 128 bits.
struct ExtentLayout: Hashable, Sendable {
  static let magic: [UInt8] = Array("MASSLROW".utf8)
  static let version = 1
  static let singlePrecision = 1
  static let headerSize = 64

  let run: Digest
  let width: Int
  /// Rows in a full file.
  let capacity: Int

  var recordSize: Int { width * MemoryLayout<Float>.stride + 8 }
  var fileSize: Int { Self.headerSize + capacity * recordSize }

  func index(of row: Int) -> Int { row / capacity }
  func rows(of index: Int) -> Range<Int> { (index * capacity)..<((index + 1) * capacity) }
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
  func header(of index: Int) -> [UInt8] {
    var header = Self.magic
    func append<Value: FixedWidthInteger>(_ value: Value) {
      withUnsafeBytes(of: value.littleEndian) { header.append(contentsOf: $0) }
    }
    append(UInt32(Self.version))
    append(UInt32(Self.singlePrecision))
    append(UInt32(width))
    append(UInt32(capacity))
    append(UInt64(index * capacity))
    append(run.high)
    append(run.low)
    append(UInt64(0))
    append(Digest(of: header).low)
    return header
  }

  /// Throws unless the file's header is the one that `header(of:)` makes, saying what differs.
  func check(headerOf file: any StorageFile, index: Int) throws {
    var header = [UInt8](repeating: 0, count: Self.headerSize)
    try header.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    func value<Value: FixedWidthInteger>(_ type: Value.Type, at offset: Int) -> Value {
      Value(littleEndian: header.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) })
    }
    guard Array(header[..<8]) == Self.magic, value(UInt64.self, at: 56) == Digest(of: header[..<56]).low else {
      throw MemoryBankError.damagedHeader(file: file.path)
    }
    let version = Int(value(UInt32.self, at: 8))
    guard version <= Self.version else {
      throw MemoryBankError.newerFormat(file: file.path, version: version, supported: Self.version)
    }
    let found = Digest(high: value(UInt64.self, at: 32), low: value(UInt64.self, at: 40))
    let properties: [(name: String, expected: String, found: String)] = [
      ("run", "\(run)", "\(found)"),
      ("element type", "\(Self.singlePrecision)", "\(value(UInt32.self, at: 12))"),
      ("row width", "\(width)", "\(value(UInt32.self, at: 16))"),
      ("number of rows", "\(capacity)", "\(value(UInt32.self, at: 20))"),
      ("first row", "\(index * capacity)", "\(value(UInt64.self, at: 24))"),
    ]
    for property in properties where property.expected != property.found {
      throw MemoryBankError.foreignExtent(
        file: file.path, property: property.name, expected: property.expected, found: property.found)
    }
  }
}

// MARK: - Records

extension ExtentLayout {
  /// The bytes of consecutive rows as they stand in a file.
  func records(of rows: Matrix, _ indices: Range<Int>, firstNumber: Int) -> [UInt8] {
    var records: [UInt8] = []
    records.reserveCapacity(indices.count * recordSize)
    for index in indices {
      rows.withBytes(ofRow: index) { bytes in
        records.append(contentsOf: bytes)
        let sum = checksum(of: bytes, number: firstNumber + index - indices.lowerBound)
        withUnsafeBytes(of: sum.littleEndian) { records.append(contentsOf: $0) }
      }
    }
    return records
  }

  /// Takes a row's floats out of its record, if they match their checksum.
  /// - Returns: whether they do.
  func read(_ record: UnsafeRawBufferPointer, number: Int, into row: UnsafeMutableRawBufferPointer) -> Bool {
    let floats = UnsafeRawBufferPointer(rebasing: record[..<(recordSize - 8)])
    let sum = UInt64(littleEndian: record.loadUnaligned(fromByteOffset: recordSize - 8, as: UInt64.self))
    guard sum == checksum(of: floats, number: number) else { return false }
    row.copyMemory(from: floats)
    return true
  }

  private func checksum(of row: UnsafeRawBufferPointer, number: Int) -> UInt64 {
    withUnsafeTemporaryAllocation(byteCount: 8 + row.count, alignment: 8) { bytes in
      bytes.storeBytes(of: UInt64(number).littleEndian, as: UInt64.self)
      UnsafeMutableRawBufferPointer(rebasing: bytes[8...]).copyMemory(from: row)
      return Digest(of: UnsafeRawBufferPointer(bytes)).low
    }
  }
}
