import Durability
import Glibc
import Numerics

/// Where the listing of a large data set is kept, so that the next start need not look at every file.
///
/// A listing is taken from there only while nothing that it was made of has changed: the size and times of each tar and of
/// a list, the times of each folder. A folder's times change when a file in it is made, removed or renamed. They do not
/// when a file is written anew in its place, or the file behind a link is: that is noticed when the picture is read and
/// has another size, as it is for one that changes while a run goes on. Nothing is ever written beside the pictures.
public struct DataSetIndex: Sendable {
  /// Smaller data sets are listed in no time.
  public static let picturesAtLeast = 10_000
  /// A change within the grain of a file system's clock leaves no mark, so who was changed so shortly before the listing,
  /// in nanoseconds, is listed again.
  private static let grain = 2_000_000_000
  private static let version = Array("massl pictures 1".utf8)
  private static let bytesAtMost = 16 << 30
  private static let name = "pictures.index"

  private enum Place: Sendable {
    case run(String)
    /// A folder of one file a data set.
    case user(String)
  }

  private let place: Place
  private let storage: any Storage
  private let picturesAtLeast: Int

  /// Of the run whose pictures they are: written by its coordinator, read by all that look at the run.
  public init(ofRun run: String, in storage: any Storage) {
    self.init(.run(run), storage, Self.picturesAtLeast)
  }

  /// In the user's cache, for pictures that are looked at without a run: `massl/pictures` in `$XDG_CACHE_HOME`, else in
  /// `~/.cache`. Nil where there is neither.
  public static var ofUser: DataSetIndex? {
    func folder(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }.flatMap { $0.hasPrefix("/") ? $0 : nil }
    }
    guard let cache = folder("XDG_CACHE_HOME") ?? folder("HOME").map({ "\($0)/.cache" }) else { return nil }
    return DataSetIndex(.user("\(cache)/massl/pictures"), FileStorage(), picturesAtLeast)
  }

  /// In a folder, as in the user's cache.
  /// - Parameter picturesAtLeast: smaller data sets are not kept.
  package init(inFolder folder: String, picturesAtLeast: Int = picturesAtLeast) {
    self.init(.user(folder), FileStorage(), picturesAtLeast)
  }

  private init(_ place: Place, _ storage: any Storage, _ picturesAtLeast: Int) {
    (self.place, self.storage, self.picturesAtLeast) = (place, storage, picturesAtLeast)
  }

  /// Whoever lists pictures keeps them here at once; a run's folder is its coordinator's alone.
  var isOfUser: Bool {
    if case .user = place { true } else { false }
  }

  private func path(_ key: [UInt8]) -> String {
    switch place {
    case .run(let run): "\(run)/\(Self.name)"
    case .user(let folder): "\(folder)/\(Digest(of: key)).index"
    }
  }

  /// What a data set is known by: its path without links, or a pattern with the folder that it is looked up in. A list's
  /// paths begin at the folder that it is named in, so a link to it elsewhere is another data set.
  private static func key(_ root: String) -> [UInt8] {
    func whole(_ path: String) -> [UInt8]? {
      guard let found = realpath(path, nil) else { return nil }
      defer { free(found) }
      return Array(String(cString: found).utf8)
    }
    if let path = whole(root) { return path + [0] + (whole(parent(of: root)) ?? []) }
    guard !root.hasPrefix("/"), let here = whole(".") else { return Array(root.utf8) }
    return here + [UInt8(ascii: "/")] + Array(root.utf8)
  }
}

/// What was looked at to list a data set, and how it was then.
struct ListingRecord: Sendable {
  /// When it began, in nanoseconds since 1970.
  var start: Int
  /// Of a list.
  var given: FileStamp?
  /// Folders by their paths from the one that pictures' paths are relative to, or that the tars are in: empty for that.
  var folders: [(path: [UInt8], stamp: FileStamp)]
  /// Of the tars, in their order.
  var shards: [FileStamp]
  /// The file that all this was read from.
  var index: String?
}

// MARK: - Writing

extension DataSetIndex {
  /// Keeps a data set that was listed, if it is large and nobody changed it just now.
  /// - Returns: why it could not be kept; nil if it was, or need not be.
  @discardableResult
  public func save(_ data: DataSet) -> (any Error)? {
    guard data.count >= picturesAtLeast, let listing = data.listing, listing.index == nil else { return nil }
    let stamps = (listing.given.map { [$0] } ?? []) + listing.folders.map(\.stamp) + listing.shards
    // Mounts that keep no times have 0 there.
    guard stamps.allSatisfy({ $0.modified > 0 && max($0.modified, $0.changed) < listing.start - Self.grain }) else {
      return nil
    }
    let key = Self.key(data.root)
    let path = path(key)
    // Several processes may do so at once.
    let temporary = "\(path).\(getpid())"
    do {
      if case .user(let folder) = place { try storage.makeDirectory(folder) }
      try storage.writeAtomically(Self.bytes(data, listing, key), to: temporary)
      try storage.rename(temporary, to: path)
      return nil
    } catch {
      for left in [temporary + ".tmp", temporary] { try? storage.remove(left) }
      return error
    }
  }

  /// The table; then what it is of; the length of that, and a digest of everything, in 8 and 16 bytes.
  private static func bytes(_ data: DataSet, _ listing: ListingRecord, _ key: [UInt8]) -> [UInt8] {
    var footer = FooterWriter()
    footer.add(version)
    footer.add(key)
    switch data.form {
    case .folder: footer.add(0)
    case .list(let root):
      footer.add(1)
      footer.add(Array(root.utf8))
    case .shards(let tars):
      footer.add(2)
      footer.add(tars.count)
      // In a folder by their names there; else the path that was given says them.
      for tar in tars { footer.add(Array(tar.utf8.dropFirst(data.root.utf8.count + 1))) }
    }
    footer.add(data.count)
    footer.add(data.hidden)
    footer.add(data.classNames.count)
    for name in data.classNames { footer.add(Array(name.utf8)) }
    footer.add(listing.given == nil ? 0 : 1)
    if let given = listing.given { footer.add(given) }
    footer.add(listing.folders.count)
    for folder in listing.folders {
      footer.add(folder.path)
      footer.add(folder.stamp)
    }
    for stamp in listing.shards { footer.add(stamp) }
    var bytes = data.table.bytes
    bytes += footer.bytes
    bytes.append(littleEndian: UInt64(footer.bytes.count))
    let digest = bytes.withUnsafeBytes { Digest(of: $0) }
    bytes.append(littleEndian: digest.high)
    bytes.append(littleEndian: digest.low)
    return bytes
  }

  private struct FooterWriter {
    var bytes: [UInt8] = []
    mutating func add(_ number: Int) { bytes.append(varint: number) }
    mutating func add(_ text: [UInt8]) {
      add(text.count)
      bytes += text
    }
    mutating func add(_ stamp: FileStamp) {
      for number in [stamp.size, stamp.modified, stamp.changed] {
        bytes.append(littleEndian: UInt64(bitPattern: Int64(number)))
      }
    }
  }
}

// MARK: - Reading

extension DataSetIndex {
  /// The data set as it was listed; nil if it never was, or something has changed since.
  func dataSet(_ root: String) -> DataSet? {
    let key = Self.key(root)
    let path = path(key)
    guard let bytes = try? storage.readWhole(path, limit: Self.bytesAtMost) else { return nil }
    return Self.dataSet(root, key, bytes, from: path)
  }

  private static func dataSet(_ root: String, _ key: [UInt8], _ bytes: [UInt8], from file: String) -> DataSet? {
    var bytes = bytes
    let tail = 24
    guard bytes.count >= tail else { return nil }
    let digest = bytes.withUnsafeBytes { Digest(of: UnsafeRawBufferPointer(rebasing: $0.dropLast(16))) }
    guard bytes.littleEndian(at: bytes.count - 16) == digest.high,
      bytes.littleEndian(at: bytes.count - 8) == digest.low,
      let length = Int(exactly: bytes.littleEndian(at: bytes.count - tail)), length <= bytes.count - tail
    else { return nil }
    var footer = FooterReader(Array(bytes[(bytes.count - tail - length)..<(bytes.count - tail)]))
    bytes.removeLast(length + tail)

    // 1. What it is of.
    guard footer.text() == version, footer.text() == key, let kind = footer.number() else { return nil }
    let form: DataSet.Form
    var shardCount = 0
    switch kind {
    case 0: form = .folder
    case 1:
      guard let name = footer.text() else { return nil }
      form = .list(root: String(decoding: name, as: UTF8.self))
    case 2:
      guard let count = footer.number(), let names = footer.many(count, { $0.text() }) else { return nil }
      shardCount = count
      if isFolder(root) {
        form = .shards(names.map { "\(root)/\(String(decoding: $0, as: UTF8.self))" })
      } else {
        guard let tars = exists(root) ? [root] : try? ShardPattern.names(root), tars.count == count else {
          return nil
        }
        form = .shards(tars)
      }
    default: return nil
    }
    guard let count = footer.number(), let hidden = footer.number(), let classCount = footer.number(),
      let classNames = footer.many(classCount, { $0.text() }), let hasGiven = footer.number()
    else { return nil }
    let given = hasGiven == 0 ? nil : footer.stamp()
    guard let folderCount = footer.number(),
      let folders = footer.many(
        folderCount,
        { reader -> (path: [UInt8], stamp: FileStamp)? in
          guard let path = reader.text(), let stamp = reader.stamp() else { return nil }
          return (path, stamp)
        }), let shards = footer.many(shardCount, { $0.stamp() }), footer.isAtEnd
    else { return nil }

    // 2. Whether it is so still.
    let base: String
    switch form {
    case .folder: base = root
    case .list(let folder):
      base = folder
      guard let given, FileStamp(at: Array(root.utf8)) == given else { return nil }
    case .shards(let tars):
      base = root
      guard zip(tars, shards).allSatisfy({ FileStamp(at: Array($0.utf8)) == $1 }) else { return nil }
    }
    let prefix = Array("\(base)/".utf8)
    guard folders.allSatisfy({ FileStamp(at: prefix + $0.path) == $0.stamp }) else { return nil }

    // 3. The pictures.
    guard
      let table = PictureTable(
        checking: bytes, count: count, isInShards: kind == 2, shards: shardCount, labels: classCount)
    else { return nil }
    return DataSet(
      root: root, form: form, table, classNames: classNames.map { String(decoding: $0, as: UTF8.self) }, hidden: hidden,
      listing: ListingRecord(start: 0, given: given, folders: folders, shards: shards, index: file))
  }

  private struct FooterReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func number() -> Int? { bytes.varint(at: &position) }

    mutating func text() -> [UInt8]? {
      guard let length = number(), length <= bytes.count - position else { return nil }
      defer { position += length }
      return Array(bytes[position..<position + length])
    }

    mutating func stamp() -> FileStamp? {
      guard bytes.count - position >= 24 else { return nil }
      defer { position += 24 }
      func number(_ place: Int) -> Int { Int(truncatingIfNeeded: bytes.littleEndian(at: position + 8 * place)) }
      return FileStamp(size: number(0), modified: number(1), changed: number(2))
    }

    /// So many of a kind, each of one byte at least.
    mutating func many<Element>(_ count: Int, _ read: (inout FooterReader) -> Element?) -> [Element]? {
      guard count <= bytes.count - position else { return nil }
      var all: [Element] = []
      all.reserveCapacity(count)
      for _ in 0..<count {
        guard let one = read(&self) else { return nil }
        all.append(one)
      }
      return all
    }
  }
}

extension [UInt8] {
  fileprivate mutating func append(littleEndian number: UInt64) {
    for shift in stride(from: 0, to: 64, by: 8) { append(UInt8(truncatingIfNeeded: number >> UInt64(shift))) }
  }

  fileprivate func littleEndian(at position: Int) -> UInt64 {
    (0..<8).reduce(0) { $0 | UInt64(self[position + $1]) << UInt64(8 * $1) }
  }
}
