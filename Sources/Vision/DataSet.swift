import Glibc
import Numerics
import Printing

/// The pictures of a folder, at any depth, in an order that depends on nothing but their paths.
///
/// A picture is a regular file, or a link to one, whose name ends in .jpg or .jpeg, in capitals or not. Links to folders
/// are followed, except back into a folder that they are in. Hidden files and folders, and those that systems put
/// beside pictures, are left out. Paths are bytes, as file systems have them; 10 million pictures take some hundred MB.
public struct DataSet: Sendable {
  /// As it was given.
  public let root: String
  /// Bytes of all paths, relative to the root, one after the other.
  private let paths: [UInt8]
  /// Where path i ends in `paths`.
  private let ends: [Int]
  private let sizes: [Int]
  /// Count and content-free digest of paths and sizes: two data sets with equal identities are taken to be the same.
  public let identity: Identity
  /// The class of each picture: one folder of the root a class. Nil if there is no such folder.
  public let labels: Labels?
  /// Pictures that were found and do not count, for they are hidden or in a hidden folder.
  public let hidden: Int
  /// Hidden pictures are pictures like all others here.
  private let countsHidden: Bool

  public struct Identity: Hashable, Sendable {
    public let count: Int
    public let digest: Digest
    public init(count: Int, digest: Digest) {
      self.count = count
      self.digest = digest
    }
  }

  public struct Labels: Equatable, Sendable {
    /// Names of the folders, in the order of their bytes.
    public let names: [String]
    /// Index in `names` of each picture's class: the folder of the root that it is in, at any depth. Nil for one that lies
    /// in the root itself.
    public let classes: [Int?]
    /// Pictures that lie deeper than in a folder of the root.
    public let nested: Int
  }

  /// Lists the pictures under `root`.
  /// - Parameters:
  ///   - countingHidden: as versions did that left nothing out.
  ///   - lost: paths that may be there or not.
  /// - Throws: `VisionError` that names the path: no such folder, a file in its place, an empty folder, no pictures,
  ///   a folder or picture that cannot be looked at.
  /// - Complexity: one system call a folder and one a picture, and a sort.
  public init(root: String, countingHidden: Bool = false, without lost: [[UInt8]] = []) throws(VisionError) {
    var listing = Listing(countsHidden: countingHidden, lost: lost)
    try listing.scan(root: root)
    guard listing.files.count > 0 else {
      if listing.others.isEmpty && listing.hidden == 0 { throw .emptyFolder(path: root) }
      throw .noPictures(path: root, found: listing.summary)
    }
    let files = listing.sorted()
    self.init(
      root: root, files.lazy.map { (listing.bytes[$0.path], $0.size) }, hidden: listing.hidden,
      countsHidden: countingHidden)
  }

  /// - Parameter files: paths and sizes, in the order of the paths' bytes.
  private init(
    root: String, _ files: some Collection<(path: ArraySlice<UInt8>, size: Int)>, hidden: Int, countsHidden: Bool
  ) {
    var paths: [UInt8] = []
    var identity: [UInt8] = []
    var ends: [Int] = []
    ends.reserveCapacity(files.count)
    for file in files {
      paths += file.path
      ends.append(paths.count)
      identity += file.path
      identity.append(0)
      withUnsafeBytes(of: UInt64(file.size).littleEndian) { identity += $0 }
    }
    self.root = root
    self.paths = paths
    self.ends = ends
    sizes = files.map(\.size)
    self.identity = Identity(count: files.count, digest: Digest(of: identity))
    labels = Labels(paths: files.map(\.path))
    self.hidden = hidden
    self.countsHidden = countsHidden
  }

  /// These pictures; or all of the folder's, hidden ones among them, if those have the identity: a run that was started
  /// by a version that counted them goes on with them.
  public func counted(as identity: Identity) -> DataSet {
    guard hidden > 0, identity != self.identity, let all = try? DataSet(root: root, countingHidden: true),
      all.identity == identity
    else { return self }
    return all
  }

  /// The pictures of a folder as a run has them that was started on `identity`: hidden ones among them, if they were
  /// then, and those that it lost in their places. As they are now, if that is another data set.
  /// - Parameter lost: paths, and sizes when they were listed.
  /// - Throws: as the listing does, but not for what is lost.
  public init(root: String, ofRunOn identity: Identity, lost: [(path: [UInt8], size: Int)]) throws(VisionError) {
    let paths = lost.map(\.path)
    let now = try DataSet(root: root, without: paths)
    let all = now.hidden > 0 ? try? DataSet(root: root, countingHidden: true, without: paths) : nil
    let candidates = [now, all, now.with(lost), all?.with(lost)]
    self = candidates.lazy.compactMap(\.self).first { $0.identity == identity } ?? now
  }

  /// With these files in their places, whether they are there or not; nil if there are none.
  private func with(_ files: [(path: [UInt8], size: Int)]) -> DataSet? {
    guard !files.isEmpty else { return nil }
    let sizes = Dictionary(files.map { ($0.path, $0.size) }) { $1 }
    var merged = (0..<count).compactMap { index -> (path: ArraySlice<UInt8>, size: Int)? in
      sizes[Array(pathBytes(index))] == nil ? (pathBytes(index), self.sizes[index]) : nil
    }
    merged += sizes.map { ($0[...], $1) }
    merged.sort { $0.path.lexicographicallyPrecedes($1.path) }
    return DataSet(root: root, merged, hidden: hidden, countsHidden: countsHidden)
  }

  /// For people: what was left out, or is not though it usually is; nil if there is nothing of the kind.
  public var remark: String? {
    if countsHidden {
      return "\(root): hidden pictures count, as they did when the run was started by an earlier version."
    }
    guard hidden > 0 else { return nil }
    return "\(root): \(hidden) hidden \(hidden == 1 ? "picture is" : "pictures are") left out (names that begin with a "
      + "dot, and folders such as __MACOSX)."
  }

  public var count: Int { ends.count }

  /// Relative to the root, for people: what does not show, or is no UTF-8, is escaped.
  public func path(_ index: Int) -> String { String(printing: pathBytes(index)) }

  /// Size in bytes when the folder was listed.
  public func size(_ index: Int) -> Int { sizes[index] }

  /// Bytes that are read of a picture's file: one of `Picture.defaultPixelLimit` takes less.
  public static let pictureBytesAtMost = 256 << 20

  /// Reads a picture's file, or its beginning if it is longer than any picture: cut off, it does not decode.
  /// - Throws: `VisionError.unreadable`; `.changed` if it has another size than when it was listed.
  public func read(_ index: Int) throws(VisionError) -> [UInt8] {
    try read(index, atMost: Self.pictureBytesAtMost)
  }

  /// Reads a picture's file, or its beginning if it is longer than so many bytes.
  public func read(_ index: Int, atMost bytes: Int) throws(VisionError) -> [UInt8] {
    try readFile(filePath(index), size: sizes[index], atMost: bytes)
  }

  /// Whether a picture's file is there, with the size that was listed; it is not read.
  public func isThere(_ index: Int) -> Bool {
    var status = stat()
    return stat(filePath(index).map(CChar.init(bitPattern:)) + [0], &status) == 0
      && status.st_mode & fileKindMask == regularKind && Int(status.st_size) == sizes[index]
  }

  /// Whether some pictures are there, of those that lie evenly among all: if none is, the folder is away (a disk that is
  /// not mounted), and nothing follows for any one picture.
  public var isReachable: Bool {
    let looks = min(count, 16)
    return (0..<looks).contains { isThere($0 * count / looks) }
  }

  private func filePath(_ index: Int) -> [UInt8] { Array(root.utf8) + [UInt8(ascii: "/")] + pathBytes(index) }

  /// Relative to the root.
  public func pathBytes(_ index: Int) -> ArraySlice<UInt8> {
    paths[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
  }
}

extension DataSet.Labels {
  /// Nil unless one path at least begins with a folder.
  init?(paths: [ArraySlice<UInt8>]) {
    let slash = UInt8(ascii: "/")
    var folders: [ArraySlice<UInt8>] = []  // of neighbours in the order of paths: each folder once
    var members: [Int?] = []
    var nested = 0
    for path in paths {
      guard let end = path.firstIndex(of: slash) else {
        members.append(nil)
        continue
      }
      let folder = path[..<end]
      if folders.last.map({ !$0.elementsEqual(folder) }) ?? true { folders.append(folder) }
      members.append(folders.count - 1)
      if path.lastIndex(of: slash) != end { nested += 1 }
    }
    if folders.isEmpty { return nil }
    let order = folders.indices.sorted { folders[$0].lexicographicallyPrecedes(folders[$1]) }
    var place = [Int](repeating: 0, count: order.count)
    for (new, old) in order.enumerated() { place[old] = new }
    names = order.map { String(decoding: folders[$0], as: UTF8.self) }
    classes = members.map { $0.map { place[$0] } }
    self.nested = nested
  }
}

// MARK: - Listing

private struct Listing {
  /// Folders that systems make for themselves, with thumbnails and what was deleted in them; and one that only root may
  /// look into. Names that begin with a dot are hidden anyway: among them "._name.jpg" and ".ipynb_checkpoints".
  private static let systemFolders = Set(
    ["__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"].map { Array($0.utf8) }
  )

  /// Nothing is hidden.
  let countsHidden: Bool
  /// Pictures that were left out.
  private(set) var hidden = 0

  /// Files, and the folders that they are in, with slashes at their ends, that need not be there.
  private let lost: Set<[UInt8]>

  init(countsHidden: Bool, lost: [[UInt8]]) {
    self.countsHidden = countsHidden
    let folders = lost.flatMap { path in
      path.indices.filter { path[$0] == UInt8(ascii: "/") }.map { Array(path[...$0]) }
    }
    self.lost = Set(lost + folders)
  }

  struct File {
    var path: Range<Int>
    var size: Int
  }

  var files: [File] = []
  /// Of all files' relative paths.
  var bytes: [UInt8] = []
  /// What else there is, counted by extension.
  var others: [String: Int] = [:]

  mutating func scan(root: String) throws(VisionError) {
    guard let directory = opendir(root) else {
      switch errno {
      case ENOENT: throw .noFolder(path: root)
      case ENOTDIR: throw .notAFolder(path: root)
      default: throw Vision.unreadable(root)
      }
    }
    try scan(directory, at: [], root: root, within: [], isHidden: false)
  }

  private func isHidden(_ name: [UInt8]) -> Bool {
    !countsHidden && (name.first == UInt8(ascii: ".") || Self.systemFolders.contains(name))
  }

  /// Closes `directory`.
  /// - Parameters:
  ///   - prefix: its path from the root with a slash at the end; empty for the root.
  ///   - ancestors: device and number of each folder above it, to find links that lead back up.
  ///   - isHidden: its pictures are counted, not listed, and what cannot be looked at does not matter.
  private mutating func scan(
    _ directory: OpaquePointer, at prefix: [UInt8], root: String, within ancestors: [FolderIdentity], isHidden: Bool
  ) throws(VisionError) {
    defer { closedir(directory) }
    let descriptor = dirfd(directory)
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw unreadable(prefix, root) }
    let own = FolderIdentity(device: status.st_dev, number: status.st_ino)
    if ancestors.contains(own) { return }
    while true {
      errno = 0
      guard let entry = readdir(directory) else {
        if errno != 0 { throw unreadable(prefix, root) }
        return
      }
      let name = name(of: entry)
      if name == [UInt8(ascii: ".")] || name == [UInt8(ascii: "."), UInt8(ascii: ".")] { continue }
      let isPicture = isPictureName(name)
      let isHidden = isHidden || self.isHidden(name)
      var kind = Int32(entry.pointee.d_type)
      let terminated = name.map(CChar.init(bitPattern:)) + [0]
      if kind == EntryKind.link || kind == EntryKind.unknown || (isPicture && kind == EntryKind.regular) {
        guard fstatat(descriptor, terminated, &status, 0) == 0 else {
          if isHidden || lost.contains(prefix + name) { continue }
          // A link to nothing only matters where a picture should be.
          if isPicture || errno != ENOENT { throw unreadable(prefix + name, root) }
          note(name)
          continue
        }
        kind =
          switch status.st_mode & fileKindMask {
          case folderKind: EntryKind.folder
          case regularKind: EntryKind.regular
          default: EntryKind.unknown
          }
      }
      if kind == EntryKind.folder {
        let path = prefix + name + [UInt8(ascii: "/")]
        let inner = openat(descriptor, terminated, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard inner >= 0, let folder = fdopendir(inner) else {
          let failure = unreadable(prefix + name, root)
          if inner >= 0 { close(inner) }
          if isHidden || lost.contains(path) { continue }
          throw failure
        }
        do {
          try scan(folder, at: path, root: root, within: ancestors + [own], isHidden: isHidden)
        } catch {
          if !isHidden { throw error }
        }
      } else if isHidden {
        if isPicture && kind == EntryKind.regular { hidden += 1 }
      } else if isPicture && kind == EntryKind.regular {
        let start = bytes.count
        bytes += prefix
        bytes += name
        files.append(File(path: start..<bytes.count, size: Int(status.st_size)))
      } else {
        note(name)
      }
    }
  }

  func sorted() -> [File] {
    bytes.withUnsafeBytes { all in
      files.sorted { left, right in
        let common = min(left.path.count, right.path.count)
        let order = memcmp(all.baseAddress! + left.path.lowerBound, all.baseAddress! + right.path.lowerBound, common)
        return order == 0 ? left.path.count < right.path.count : order < 0
      }
    }
  }

  private mutating func note(_ name: [UInt8]) {
    let text = String(decoding: name, as: UTF8.self)
    let dot = text.lastIndex(of: ".")
    let kind = dot.map { $0 == text.startIndex ? "" : text[$0...].lowercased() } ?? ""
    others[kind, default: 0] += 1
  }

  /// The five most frequent kinds of what is no picture: "12 .png".
  var summary: [String] {
    let kinds = others.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(5).map { kind, count in
      "\(count) \(kind.isEmpty ? "without an extension" : kind)"
    }
    return hidden > 0 ? kinds + ["\(hidden) hidden"] : kinds
  }

  private func unreadable(_ path: [UInt8], _ root: String) -> VisionError {
    Vision.unreadable(path.isEmpty ? root : root + "/" + String(printing: path))
  }
}

private struct FolderIdentity: Equatable {
  var device: dev_t
  var number: ino_t
}

private func name(of entry: UnsafeMutablePointer<dirent>) -> [UInt8] {
  let offset = MemoryLayout<dirent>.offset(of: \dirent.d_name)!
  let start = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: UInt8.self)
  return Array(UnsafeBufferPointer(start: start, count: strlen(UnsafePointer<CChar>(OpaquePointer(start)))))
}

private func isPictureName(_ name: [UInt8]) -> Bool {
  [".jpg", ".jpeg"].contains { suffix in
    // Setting bit 5 makes ASCII letters small, and leaves the dot.
    name.count > suffix.utf8.count && name.suffix(suffix.utf8.count).elementsEqual(suffix.utf8) { $0 | 0x20 == $1 }
  }
}

// Of <sys/stat.h> and <dirent.h>, whose own are macros or of other types.
private let fileKindMask: mode_t = 0o170000
private let folderKind: mode_t = 0o040000
private let regularKind: mode_t = 0o100000
private enum EntryKind {
  static let unknown: Int32 = 0
  static let folder: Int32 = 4
  static let regular: Int32 = 8
  static let link: Int32 = 10
}
