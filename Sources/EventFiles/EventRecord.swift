import Glibc

/// A record's frame: its length and that number's checksum, its bytes and theirs. All little-endian.
///
///     | length: 8 | checksum: 4 | bytes: length | checksum: 4 |
enum EventRecord {
  static let headBytes = 12
  static let tailBytes = 4
  /// No event of ours comes near; what claims more is damaged.
  static let bytesAtMost = 1 << 28

  /// - Parameters:
  ///   - count: of the record's bytes.
  ///   - write: puts them there.
  static func framed(count: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Void) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: headBytes + count + tailBytes) { frame, initialized in
      let start = frame.baseAddress!
      let bytes = UnsafeMutableRawBufferPointer(frame)
      bytes.storeBytes(of: UInt64(count).littleEndian, as: UInt64.self)
      store(MaskedChecksum.of(UnsafeRawBufferPointer(rebasing: bytes[0..<8])), in: bytes, at: 8)
      write(start + headBytes)
      let data = UnsafeRawBufferPointer(rebasing: bytes[headBytes..<headBytes + count])
      store(MaskedChecksum.of(data), in: bytes, at: headBytes + count)
      initialized = headBytes + count + tailBytes
    }
  }

  private static func store(_ sum: UInt32, in bytes: UnsafeMutableRawBufferPointer, at place: Int) {
    bytes.storeBytes(of: sum.littleEndian, toByteOffset: place, as: UInt32.self)
  }

  /// The next record's bytes; nil at the file's end, and where it is damaged.
  static func next(in file: UnsafeMutablePointer<FILE>) -> [UInt8]? {
    guard let head = read(headBytes, from: file) else { return nil }
    let length = head.withUnsafeBytes { bytes -> Int? in
      let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
      guard sum(at: 8, of: bytes) == MaskedChecksum.of(UnsafeRawBufferPointer(rebasing: bytes[0..<8])),
        length <= UInt64(bytesAtMost)
      else { return nil }
      return Int(length)
    }
    guard let length, let record = read(length + tailBytes, from: file) else { return nil }
    let isWhole = record.withUnsafeBytes { bytes in
      sum(at: length, of: bytes) == MaskedChecksum.of(UnsafeRawBufferPointer(rebasing: bytes[0..<length]))
    }
    return isWhole ? Array(record.prefix(length)) : nil
  }

  private static func sum(at place: Int, of bytes: UnsafeRawBufferPointer) -> UInt32 {
    UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
  }

  private static func read(_ count: Int, from file: UnsafeMutablePointer<FILE>) -> [UInt8]? {
    var found = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
      found = fread(bytes.baseAddress!, 1, count, file)
      initialized = found
    }
    return found == count ? bytes : nil
  }
}
