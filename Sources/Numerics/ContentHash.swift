import CSodium

/// What names bytes by their content, towards peers that may lie: 16 bytes of BLAKE2b, for which nobody finds other bytes.
///
/// A `Digest` is many times as fast, and says whether bytes arrived as they were sent; whoever wants to can make two
/// contents with one digest.
public struct ContentHash: Hashable, Sendable {
  public static let byteCount = 16
  /// libsodium chooses what it computes with when it is told to begin, and may be told so again.
  private static let hasBegun = sodium_init() >= 0

  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  public init(of bytes: UnsafeRawBufferPointer) {
    invariant(Self.hasBegun, "libsodium has no random numbers to begin with")
    var hash = (UInt64(0), UInt64(0))
    withUnsafeMutableBytes(of: &hash) { hash in
      _ = crypto_generichash(
        hash.bindMemory(to: UInt8.self).baseAddress!, hash.count,
        bytes.bindMemory(to: UInt8.self).baseAddress, UInt64(bytes.count), nil, 0)
    }
    self.init(high: UInt64(bigEndian: hash.0), low: UInt64(bigEndian: hash.1))
  }
}

// MARK: - Hashes of hashes

extension ContentHash {
  /// As it is written: the high half first, big-endian.
  public var bytes: [UInt8] { withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { Array($0) } }

  /// Of others, as they are written one after the other.
  public init(of hashes: [ContentHash]) {
    self = hashes.flatMap(\.bytes).withUnsafeBytes { ContentHash(of: $0) }
  }

  /// - Returns: those that are written there one after the other; nil unless the bytes are just so many.
  public static func hashes(in bytes: UnsafeRawBufferPointer, count: Int) -> [ContentHash]? {
    guard bytes.count == count * byteCount else { return nil }
    return (0..<count).map { index in
      let first = index * byteCount
      return ContentHash(
        high: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: first, as: UInt64.self)),
        low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: first + 8, as: UInt64.self)))
    }
  }
}

extension FloatBuffer {
  /// One a chunk of `count` floats, the last of which may be shorter; on all cores.
  public func contentHashes(ofChunks count: Int) -> [ContentHash] {
    var hashes = [ContentHash](repeating: ContentHash(high: 0, low: 0), count: (self.count + count - 1) / count)
    hashes.withUnsafeMutableBufferPointer { hashes in
      // The closure may run on many threads at once, each in a slot of its own.
      nonisolated(unsafe) let hashes = hashes
      forEachChunk(hashes.count) { index in
        let first = index * count
        hashes[index] = withBytes(of: first..<min(self.count, first + count)) { ContentHash(of: $0) }
      }
    }
    return hashes
  }
}
