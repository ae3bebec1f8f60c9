import Durability
import Glibc
import Numerics
import Printing

/// The pictures of a folder, of a list or of tars, in an order that depends on nothing but their paths.
///
/// In a folder, at any depth, a picture is a regular file, or a link to one, whose name ends in .jpg, .jpeg, .png or .webp, in
/// capitals or not. Links to folders are followed, except back into a folder that they are in. Hidden files and folders,
/// and those that systems put beside pictures, are left out. The same names count in tars; a list (`ListFile`) says
/// itself what counts. Paths are bytes, as file systems have them, relative to the folder, to the list's root, or as tars
/// have them: so the same pictures are the same data set in any of these forms. A million pictures take some 25 MB.
public struct DataSet: Sendable {
  /// Of files that are taken for pictures by their names, in small letters.
  public static let pictureEndings = [".jpg", ".jpeg", ".png", ".webp"]

  /// As it was given.
  public let root: String
  let form: Form
  let table: PictureTable
  /// Names of classes that tars said, to which the table's labels are indices.
  let classNames: [String]
  /// Count and content-free digest of paths and sizes: two data sets with equal identities are taken to be the same.
  public let identity: Identity
  /// Pictures that were found and do not count, for they are hidden or in a hidden folder.
  public let hidden: Int
  /// Hidden pictures are pictures like all others here.
  private let countsHidden: Bool
  /// What was looked at to list the pictures; nil for a data set that is not as it was listed.
  let listing: ListingRecord?

  /// Where the pictures are.
  enum Form: Equatable {
    case folder
    /// Files below a folder, which a list names.
    case list(root: String)
    /// Tars, by their paths.
    case shards([String])
  }

  public struct Identity: Hashable, Sendable {
    public let count: Int
    public let digest: Digest
    public init(count: Int, digest: Digest) {
      self.count = count
      self.digest = digest
    }
  }

  public struct Labels: Equatable, Sendable {
    /// Names of the classes: of folders, in the order of their bytes, or as tars say them.
    public let names: [String]
    /// Index in `names` of each picture's class: the folder of the root that it is in, at any depth, or what its tar says.
    /// Nil for one that lies in the root itself, or of which the tar says nothing.
    public let classes: [Int?]
    /// Pictures that lie deeper than in a folder of the root, where folders are the classes.
    public let nested: Int
  }

  /// Lists the pictures of a folder, a list or tars; or takes them from an index, where nothing has changed since.
  /// - Parameters:
  ///   - root: a folder of pictures or of tars, a list (.txt, .list), a tar, or a pattern of tars (`ShardPattern`).
  ///   - countingHidden: as versions did that left nothing out; only of a folder, and not from an index.
  ///   - lost: paths that may be there or not.
  ///   - index: where a large data set's listing is kept.
  /// - Throws: `VisionError` that names the path: no such folder or file, an empty one, no pictures, one that cannot be
  ///   looked at; a list's line, or a tar's entry, that is at fault.
  /// - Complexity: one system call a folder and one a picture, one an entry of tars, and a sort. From an index one a folder
  ///   or tar.
  public init(
    root: String, countingHidden: Bool = false, without lost: [[UInt8]] = [], index: DataSetIndex? = .ofUser
  ) throws(VisionError) {
    if !countingHidden, let saved = index?.dataSet(root) {
      self = saved
      return
    }
    self = try Self.listed(root, countingHidden: countingHidden, without: lost)
    if index?.isOfUser == true { index?.save(self) }
  }

  private static func listed(
    _ root: String, countingHidden: Bool, without lost: [[UInt8]]
  ) throws(VisionError) -> DataSet {
    let start = FileStamp.now
    if isList(root) { return try listed(list: root, start, without: lost) }
    if isTar(root) { return try listed(tars: [root], of: root, start, []) }
    if isPattern(root) { return try listed(tars: ShardPattern.names(root), of: root, start, []) }
    var folder = FolderListing(countsHidden: countingHidden, lost: lost)
    try folder.scan(root: root)
    if folder.found.files.isEmpty, !folder.tars.isEmpty {
      let tars = folder.tars.sorted { $0.lexicographicallyPrecedes($1) }
      var paths: [String] = []
      for tar in tars {
        guard let name = String(validating: tar, as: UTF8.self) else {
          throw .badTar(path: "\(root)/\(String(printing: tar))", reason: "its name is not UTF-8: give it another")
        }
        paths.append("\(root)/\(name)")
      }
      return try listed(tars: paths, of: root, start, folder.folders)
    }
    try folder.found.requireSome(of: root)
    let files = folder.found.sorted()
    if let (twin, _) = folder.found.twins(in: files) {
      throw .listedTwice(path: "\(root)/\(String(printing: folder.found.path(twin)))")
    }
    var table = PictureTable(isInShards: false)
    for file in files { table.append(folder.found.path(file), size: file.size) }
    return DataSet(
      root: root, form: .folder, table, hidden: folder.found.hidden, countsHidden: countingHidden,
      // An index does not say that hidden ones count.
      listing: countingHidden
        ? nil : ListingRecord(start: start, given: nil, folders: folder.folders, shards: []))
  }

  /// Whether a path is that of a folder, a list or a tar, or a pattern of tars, and not of one picture.
  public static func isOne(_ path: String) -> Bool {
    isFolder(path) || isList(path) || isTar(path) || isPattern(path)
  }

  private static func isList(_ path: String) -> Bool {
    hasEnding(path.utf8, [".txt", ".list"]) && exists(path) && !isFolder(path)
  }

  private static func isTar(_ path: String) -> Bool { isTarName(path.utf8) && exists(path) && !isFolder(path) }

  private static func isPattern(_ path: String) -> Bool {
    isTarName(path.utf8) && path.contains("{") && !exists(path)
  }

  private static func listed(list path: String, _ start: Int, without lost: [[UInt8]]) throws(VisionError) -> DataSet {
    let list = try ListFile(path, without: lost)
    let files = list.found.sorted()
    if let (first, second) = list.found.twins(in: files) { throw list.twice(first, second, list: path) }
    var table = PictureTable(isInShards: false)
    for file in files { table.append(list.found.path(file), size: file.size) }
    return DataSet(
      root: path, form: .list(root: list.root), table,
      listing: ListingRecord(start: start, given: list.stamp, folders: list.folders, shards: []))
  }

  private static func listed(
    tars: [String], of root: String, _ start: Int, _ folders: [(path: [UInt8], stamp: FileStamp)]
  ) throws(VisionError) -> DataSet {
    let found = try TarListing(tars)
    try found.found.requireSome(of: root)
    let (table, classNames) = try found.table(tars)
    return DataSet(
      root: root, form: .shards(tars), table, classNames: classNames, hidden: found.found.hidden,
      listing: ListingRecord(start: start, given: nil, folders: folders, shards: found.stamps))
  }

  init(
    root: String, form: Form, _ table: PictureTable, classNames: [String] = [], hidden: Int = 0,
    countsHidden: Bool = false, listing: ListingRecord?
  ) {
    self.root = root
    self.form = form
    self.table = table
    self.classNames = classNames
    self.hidden = hidden
    self.countsHidden = countsHidden
    self.listing = listing
    let digest = DigestState()
    var piece: [UInt8] = []
    table.forEach { entry in
      piece += entry.path
      piece.append(0)
      withUnsafeBytes(of: UInt64(entry.size).littleEndian) { piece += $0 }
      if piece.count > 1 << 16 {
        digest.update(piece)
        piece.removeAll(keepingCapacity: true)
      }
    }
    digest.update(piece)
    identity = Identity(count: table.count, digest: digest.digest)
  }

  /// These pictures; or all of the folder's, hidden ones among them, if those have the identity: a run that was started
  /// by a version that counted them goes on with them.
  public func counted(as identity: Identity) -> DataSet {
    guard form == .folder, hidden > 0, identity != self.identity,
      let all = try? DataSet(root: root, countingHidden: true), all.identity == identity
    else { return self }
    return all
  }

  /// The pictures as a run has them that was started on `identity`: hidden ones among them, if they were then, and those
  /// that it lost in their places. As they are now, if that is another data set.
  /// - Parameters:
  ///   - lost: paths, and sizes when they were listed.
  ///   - index: as above.
  /// - Throws: as the listing does, but not for what is lost.
  public init(
    root: String, ofRunOn identity: Identity, lost: [(path: [UInt8], size: Int)], index: DataSetIndex? = .ofUser
  ) throws(VisionError) {
    let paths = lost.map(\.path)
    let now = try DataSet(root: root, without: paths, index: index)
    let candidates: [() -> DataSet?] = [
      { now },
      { now.hiddenToo(without: paths) },
      { now.with(lost) },
      { now.hiddenToo(without: paths)?.with(lost) },
    ]
    if let found = candidates.lazy.compactMap({ $0() }).first(where: { $0.identity == identity }) {
      self = found
    } else if now.indexFile != nil {
      // What an index could not notice may be the difference.
      try self.init(root: root, ofRunOn: identity, lost: lost, index: nil)
    } else {
      self = now
    }
  }

  private func hiddenToo(without lost: [[UInt8]]) -> DataSet? {
    form == .folder && hidden > 0 ? try? DataSet(root: root, countingHidden: true, without: lost) : nil
  }

  /// With these files in their places, whether they are there or not; nil if there are none.
  private func with(_ files: [(path: [UInt8], size: Int)]) -> DataSet? {
    guard !files.isEmpty else { return nil }
    let sizes = Dictionary(files.map { ($0.path, $0.size) }) { $1 }
    var missing = sizes.sorted { $0.key.lexicographicallyPrecedes($1.key) }[...]
    var merged = PictureTable(isInShards: table.isInShards)
    table.forEach { entry in
      while let (path, size) = missing.first, path.lexicographicallyPrecedes(entry.path) {
        merged.append(path, size: size)
        missing.removeFirst()
      }
      guard sizes[entry.path] == nil else { return }
      merged.append(
        entry.path, size: entry.size, shard: entry.shard, offset: entry.offset, label: entry.label)
    }
    for (path, size) in missing { merged.append(path, size: size) }
    return DataSet(
      root: root, form: form, merged, classNames: classNames, hidden: hidden, countsHidden: countsHidden, listing: nil)
  }

  /// For people: what was left out, or is not though it usually is, and where the listing is from; nil if there is nothing
  /// of the kind.
  public var remark: String? {
    if countsHidden {
      return "\(root): hidden pictures count, as they did when the run was started by an earlier version."
    }
    var sentences: [String] = []
    if hidden > 0 {
      sentences.append(
        "\(root): \(hidden) hidden \(hidden == 1 ? "picture is" : "pictures are") left out (names that begin with a "
          + "dot, and folders such as __MACOSX).")
    }
    if let file = indexFile {
      sentences.append(
        "\(root): \(count) pictures as \(file) has them. Remove that file to have them listed anew.")
    }
    return sentences.isEmpty ? nil : sentences.joined(separator: " ")
  }

  public var count: Int { table.count }

  /// Relative to the root, for people: what does not show, or is no UTF-8, is escaped.
  public func path(_ index: Int) -> String { String(printing: pathBytes(index)) }

  /// With the root's path, or the tar's, for people.
  public func wholePath(_ index: Int) -> String { wholePath(of: table[index]) }

  /// Relative to the root.
  public func pathBytes(_ index: Int) -> [UInt8] { table[index].path }

  /// The picture with a path that is relative to the root; nil if there is none.
  public func index(ofPath path: [UInt8]) -> Int? { table.index(of: path) }

  /// Size in bytes when it was listed.
  public func size(_ index: Int) -> Int { table[index].size }

  /// For people and programs: "folder", "list" or "tars".
  public var formInWords: String {
    switch form {
    case .folder: "folder"
    case .list: "list"
    case .shards: "tars"
    }
  }

  /// The file that the listing was read from; nil if the pictures were listed just now.
  public var indexFile: String? { listing?.index }

  /// The folder that the pictures' paths are relative to; nil where they are in tars.
  public var folder: String? {
    switch form {
    case .folder: root
    case .list(let root): root
    case .shards: nil
    }
  }
}

// MARK: - Reading

extension DataSet {
  /// Bytes that are read of a picture's file: one of `Picture.defaultPixelLimit` takes less.
  public static let pictureBytesAtMost = 256 << 20

  /// Reads a picture's file, or its beginning if it is longer than any picture: cut off, it does not decode.
  /// - Throws: `VisionError.unreadable`; `.changed` if it has another size than when it was listed.
  public func read(_ index: Int) throws(VisionError) -> [UInt8] {
    try read(index, atMost: Self.pictureBytesAtMost)
  }

  /// Reads a picture's file, or its beginning if it is longer than so many bytes.
  public func read(_ index: Int, atMost bytes: Int) throws(VisionError) -> [UInt8] {
    let entry = table[index]
    if let file = filePath(of: entry) { return try readFile(file, size: entry.size, atMost: bytes) }
    return try readShard(entry, atMost: bytes)
  }

  /// Whether a picture's file is there, with the size that was listed; it is not read.
  public func isThere(_ index: Int) -> Bool {
    let entry = table[index]
    guard let file = filePath(of: entry) else { return (try? readShard(entry, atMost: 0)) != nil }
    var status = stat()
    return stat(file.map(CChar.init(bitPattern:)) + [0], &status) == 0 && status.st_mode & S_IFMT == S_IFREG
      && Int(status.st_size) == entry.size
  }

  /// Whether some pictures are there, of those that lie evenly among all: if none is, the folder is away (a disk that is
  /// not mounted), and nothing follows for any one picture.
  public var isReachable: Bool {
    let looks = min(count, 16)
    return (0..<looks).contains { isThere($0 * count / looks) }
  }

  /// Reads a picture's bytes where they lie in a tar, with the header before them, which has to be that picture's still:
  /// so that a tar that was written anew gives no other bytes.
  ///
  /// The tar is opened each time, which costs some microseconds beside milliseconds of decoding, and holds no descriptor
  /// for each of a thousand shards.
  private func readShard(_ entry: PictureTable.Entry, atMost limit: Int) throws(VisionError) -> [UInt8] {
    guard case .shards(let tars) = form, let shard = entry.shard else {
      throw .unreadable(path: wholePath(of: entry), reason: "it is in no tar any more")
    }
    let tar: OpenTar
    do { tar = try OpenTar(tars[shard]) } catch {
      guard case .badTar(let path, let reason) = error else { throw error }
      throw .unreadable(path: wholePath(of: entry), reason: "of its tar \(path): \(reason)")
    }
    let changed = VisionError.unreadable(
      path: wholePath(of: entry), reason: "the tar has changed since it was listed, and the picture is not where it was"
    )
    guard entry.offset >= TarWalk.block, entry.offset + entry.size <= tar.stamp.size else { throw changed }
    var bytes = try tar.read(at: entry.offset - TarWalk.block, count: TarWalk.block + min(entry.size, limit))
    // A name that is too long for a header may stand in an entry before it.
    guard let header = TarHeader(bytes[..<TarWalk.block]), header.isFile, header.size == entry.size,
      PicturePath.relative(header.name) == entry.path || !Self.isWholeInHeader(entry.path)
    else { throw changed }
    bytes.removeFirst(TarWalk.block)
    return bytes
  }

  /// Whether any writer of tars puts all of a path into the header itself.
  private static func isWholeInHeader(_ path: [UInt8]) -> Bool { path.count < 90 && path.allSatisfy { $0 < 0x80 } }

  /// Nil where pictures lie in tars.
  private func filePath(of entry: PictureTable.Entry) -> [UInt8]? {
    folder.map { Array($0.utf8) + [UInt8(ascii: "/")] + entry.path }
  }

  private func wholePath(of entry: PictureTable.Entry) -> String {
    let path = String(printing: entry.path)
    if case .shards(let tars) = form { return "\(entry.shard.map { tars[$0] } ?? root)/\(path)" }
    return "\(folder ?? root)/\(path)"
  }
}

// MARK: - Names

/// Whether there is anything at a path.
func exists(_ path: String) -> Bool {
  var status = stat()
  return stat(path, &status) == 0
}

func isTarName(_ name: some Collection<UInt8>) -> Bool { hasEnding(name, [".tar"]) }

func isPictureName(_ name: some Collection<UInt8>) -> Bool { hasEnding(name, DataSet.pictureEndings) }

/// - Parameter endings: in small letters.
private func hasEnding(_ name: some Collection<UInt8>, _ endings: [String]) -> Bool {
  endings.contains { ending in
    let length = ending.utf8.count
    // Setting bit 5 makes ASCII letters small, and leaves the dot.
    return name.count > length && name.dropFirst(name.count - length).elementsEqual(ending.utf8) { $0 | 0x20 == $1 }
  }
}
