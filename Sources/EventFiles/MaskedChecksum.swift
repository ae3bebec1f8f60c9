/// CRC-32C, turned and shifted as records of event files have it.
///
/// Source: tensorflow/core/lib/hash/crc32c.h: a checksum of bytes that hold checksums says little, so it is masked.
enum MaskedChecksum {
  /// The polynomial of Castagnoli, its bits reversed.
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { rest, _ in rest & 1 == 1 ? rest >> 1 ^ 0x82F6_3B78 : rest >> 1 }
  }

  static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    let sum = table.withUnsafeBufferPointer { table in
      ~bytes.reduce(~UInt32(0)) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ $0 >> 8 }
    }
    return (sum >> 15 | sum << 17) &+ 0xA282_EAD8
  }
}
