import Numerics

/// Paths, sizes and places of a data set's pictures, in the order of the paths' bytes, in some 25 bytes a picture.
///
/// Neighbours in that order begin alike, so an entry says how many bytes it shares with the one before and adds the
/// rest. Every sixteenth entry shares nothing, and where it begins is noted: any entry is found by reading at most
/// fifteen others.
///
///     entry:  shared | rest | rest's bytes | size              numbers of 1 to 9 bytes, the smallest in one
///             | shard + 1 | block of 512 bytes | label + 1     where pictures lie in shards
///
/// The same bytes are what `DataSetIndex` keeps in a file.
struct PictureTable: Sendable {
  /// Entries from one that shares nothing to the next.
  private static let stride = 16

  struct Entry: Equatable {
    /// Relative to the data set's root.
    var path: [UInt8] = []
    var size = 0
    /// Which shard the picture lies in; nil where there are none, and for a picture that is in none any more.
    var shard: Int?
    /// Where its bytes begin in the shard, a multiple of 512.
    var offset = 0
    /// Index of its class, where shards say it.
    var label: Int?
  }

  let isInShards: Bool
  private(set) var count = 0
  private(set) var bytes: [UInt8] = []
  /// Where entry `stride` · i begins in `bytes`.
  private var starts: [Int] = []
  /// Of the entry that was added last.
  private var lastPath: [UInt8] = []

  init(isInShards: Bool) { self.isInShards = isInShards }

  /// Adds an entry whose path comes after all others.
  mutating func append(_ path: some Collection<UInt8>, size: Int, shard: Int? = nil, offset: Int = 0, label: Int? = nil)
  {
    invariant(count == 0 || lastPath.lexicographicallyPrecedes(path), "paths out of order")
    var shared = 0
    if count % Self.stride == 0 {
      starts.append(bytes.count)
    } else {
      shared = zip(lastPath, path).prefix { $0 == $1 }.count
    }
    let rest = path.dropFirst(shared)
    bytes.append(varint: shared)
    bytes.append(varint: rest.count)
    bytes += rest
    bytes.append(varint: size)
    if isInShards {
      bytes.append(varint: shard.map { $0 + 1 } ?? 0)
      bytes.append(varint: offset / 512)
      bytes.append(varint: label.map { $0 + 1 } ?? 0)
    }
    lastPath.removeLast(lastPath.count - shared)
    lastPath += rest
    count += 1
  }

  /// Entry `index`, 0..<count.
  subscript(index: Int) -> Entry {
    invariant(index >= 0 && index < count)
    var cursor = Cursor(position: starts[index / Self.stride])
    for _ in 0...(index % Self.stride) {
      let isRead = cursor.advance(in: self)
      invariant(isRead, "a checked table does not read")
    }
    return cursor.entry
  }

  /// Gives all entries, in order.
  func forEach(_ body: (Entry) -> Void) {
    var cursor = Cursor()
    for _ in 0..<count {
      let isRead = cursor.advance(in: self)
      invariant(isRead, "a checked table does not read")
      body(cursor.entry)
    }
  }

  /// The entry with a path; nil if there is none.
  /// - Complexity: some 20 entries are looked at in a million, each at the cost of reading it.
  func index(of path: [UInt8]) -> Int? {
    var range = 0..<count
    while !range.isEmpty {
      let middle = range.lowerBound + range.count / 2
      let found = self[middle].path
      if found == path { return middle }
      range = found.lexicographicallyPrecedes(path) ? middle + 1..<range.upperBound : range.lowerBound..<middle
    }
    return nil
  }
}

// MARK: - Tables from files

extension PictureTable {
  /// Bytes that somebody kept.
  /// - Parameters:
  ///   - shards: as many as an entry may name; 0 where pictures lie in none.
  ///   - labels: likewise classes.
  /// - Returns: nil if they are not the bytes of so many entries in order.
  /// - Complexity: reads every entry.
  init?(checking bytes: [UInt8], count: Int, isInShards: Bool, shards: Int, labels: Int) {
    self.init(isInShards: isInShards)
    self.bytes = bytes
    guard count >= 0, count <= bytes.count else { return nil }
    starts.reserveCapacity(count / Self.stride + 1)
    var cursor = Cursor()
    for index in 0..<count {
      if index % Self.stride == 0 { starts.append(cursor.position) }
      guard cursor.advance(in: self), cursor.isAfterTheOneBefore || index == 0,
        index % Self.stride != 0 || cursor.shared == 0,
        cursor.entry.shard ?? -1 < shards, cursor.entry.label ?? -1 < labels
      else { return nil }
    }
    guard cursor.position == bytes.count else { return nil }
    self.count = count
    lastPath = cursor.entry.path
  }

  /// Reads entries one after the other.
  private struct Cursor {
    var position = 0
    var entry = Entry()
    /// Bytes that the entry's path shares with the one before.
    var shared = 0
    var isAfterTheOneBefore = false

    init(position: Int = 0) { self.position = position }

    /// Reads the next entry.
    /// - Returns: false if there is none that reads.
    mutating func advance(in table: PictureTable) -> Bool {
      let bytes = table.bytes
      guard let shared = bytes.varint(at: &position), let rest = bytes.varint(at: &position),
        shared <= entry.path.count, rest > 0, rest <= bytes.count - position
      else { return false }
      let added = bytes[position..<position + rest]
      isAfterTheOneBefore = entry.path[shared...].lexicographicallyPrecedes(added)
      entry.path.removeLast(entry.path.count - shared)
      entry.path += added
      self.shared = shared
      position += rest
      guard let size = bytes.varint(at: &position) else { return false }
      entry.size = size
      guard table.isInShards else { return true }
      guard let shard = bytes.varint(at: &position), let block = bytes.varint(at: &position),
        let label = bytes.varint(at: &position), block <= Int.max / 1024, size <= Int.max / 2
      else { return false }
      entry.shard = shard == 0 ? nil : shard - 1
      entry.offset = block * 512
      entry.label = label == 0 ? nil : label - 1
      return true
    }
  }
}

// MARK: - Numbers

extension [UInt8] {
  /// Adds a number that is not negative, seven bits a byte, the lowest first; all bytes but the last have bit 7 set.
  mutating func append(varint number: Int) {
    invariant(number >= 0)
    var rest = number
    while rest > 0x7F {
      append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    append(UInt8(rest))
  }

  /// Reads such a number and moves on; nil if there is none, or it does not fit an Int.
  func varint(at position: inout Int) -> Int? {
    var (number, shift) = (0, 0)
    while position < count, shift < 63 {
      let byte = self[position]
      position += 1
      number |= Int(byte & 0x7F) << shift
      if byte < 0x80 { return number }
      shift += 7
    }
    return nil
  }
}
