import CMapping
import Glibc

/// A file's bytes in this process's address space: read without a system call once they are in the page cache, which
/// counts them as resident but takes them back whenever it needs room.
///
/// What is mapped may only be copied out (`MappedPieces`), never looked at in place: a page that the disk cannot give
/// is a signal, which the copy turns into an error.
public final class FileMapping: Sendable {
  public let path: String
  /// Bytes.
  public let size: Int
  /// The address of the first byte: a number, for nobody but `MappedPieces` may follow it.
  fileprivate let base: UInt

  /// Nil if the system refuses, with the reason in `errno`. The descriptor may be closed afterwards.
  init?(of descriptor: Int32, path: String, size: Int) {
    guard let memory = mmap(nil, max(size, 1), PROT_READ, MAP_SHARED, descriptor, 0), memory != MAP_FAILED else {
      return nil
    }
    // Rows are drawn at random: what stands beside one is not what is read next.
    madvise(memory, max(size, 1), MADV_RANDOM)
    (self.path, self.size, base) = (path, size, UInt(bitPattern: memory))
  }

  deinit { munmap(UnsafeMutableRawPointer(bitPattern: base), max(size, 1)) }
}

/// Pieces of one size that are copied out of mappings together: each a head and a tail, which come apart.
///
///     var pieces = MappedPieces(head: 1024, tail: 8, capacity: rows)
///     pieces.append(at: offset, of: mapping)                  // again and again
///     try pieces.copy(0..<16, heads: rows, tails: checksums)
public struct MappedPieces {
  public let head: Int
  public let tail: Int
  private var addresses: [UnsafeRawPointer?] = []
  /// Of each piece, by its place in `mappings`.
  private var sources: [Int32] = []
  private var mappings: [FileMapping] = []
  /// Of the mappings: looked at for each piece, which should not retain and release an object.
  private var spans: [(base: UInt, size: Int)] = []

  private static let page = UInt(sysconf(Int32(_SC_PAGESIZE)))

  public init(head: Int, tail: Int, capacity: Int) {
    (self.head, self.tail) = (head, tail)
    addresses.reserveCapacity(capacity)
    sources.reserveCapacity(capacity)
  }

  public var count: Int { addresses.count }

  /// Which mapping the next pieces are of; it is kept.
  /// - Returns: what `append` wants for it.
  public mutating func add(_ mapping: FileMapping) -> Int {
    mappings.append(mapping)
    spans.append((mapping.base, mapping.size))
    return mappings.count - 1
  }

  /// - Parameter mapping: as `add` returned it.
  public mutating func append(at offset: Int, of mapping: Int) {
    let source = spans[mapping]
    guard offset >= 0, head + tail <= source.size, offset <= source.size - head - tail else {
      fatalError(
        "invariant broken: \(head + tail) bytes at \(offset) of \(mappings[mapping].path), which has \(source.size)")
    }
    addresses.append(UnsafeRawPointer(bitPattern: source.base + UInt(offset)))
    sources.append(Int32(mapping))
  }

  /// Has the disk begin to read what is not in the page cache, all of it at once: else it sees one page after the other.
  /// A system call a piece, several times what copying one costs that is here.
  public func prefetch() {
    for address in addresses {
      let first = UInt(bitPattern: address) & ~(Self.page - 1)
      let end = (UInt(bitPattern: address) + UInt(head + tail) + Self.page - 1) & ~(Self.page - 1)
      madvise(UnsafeMutableRawPointer(bitPattern: first), Int(end - first), MADV_WILLNEED)
    }
  }

  /// Copies some of the pieces, one after the other.
  /// - Parameters:
  ///   - heads: `range.count * head` bytes; `tails`: `range.count * tail`.
  /// - Throws: `DurabilityError` where the disk does not give a page, or the file was cut short behind our back.
  public func copy(
    _ range: Range<Int>, heads: UnsafeMutableRawBufferPointer, tails: UnsafeMutableRawBufferPointer
  ) throws {
    guard heads.count == range.count * head, tails.count == range.count * tail else {
      fatalError("invariant broken: \(heads.count) and \(tails.count) bytes for \(range.count) pieces")
    }
    guard !range.isEmpty, let heads = heads.baseAddress, let tails = tails.baseAddress else { return }
    let done = addresses[range.lowerBound...].withUnsafeBufferPointer {
      massl_copy_pieces(
        $0.baseAddress, range.count, min(range.count, count - range.upperBound), heads, head, tails, tail)
    }
    guard done == range.count else {
      let path = mappings[Int(sources[range.lowerBound + done])].path
      throw DurabilityError.failed(operation: .read, path: path, number: EIO)
    }
  }
}
