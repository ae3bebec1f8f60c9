import Glibc

/// Pictures that a search found, in the order in which it met them.
struct FoundPictures {
  struct File {
    /// In `bytes`.
    var path: Range<Int>
    var size: Int
    /// Which shard it lies in, and where; in a list the number of its line instead.
    var shard = -1
    var place = 0
  }

  private(set) var files: [File] = []
  /// Of all files' paths.
  private(set) var bytes: [UInt8] = []
  /// Pictures that were left out.
  var hidden = 0
  /// What else there is, counted by extension.
  private var others: [String: Int] = [:]

  var isNothing: Bool { files.isEmpty && others.isEmpty && hidden == 0 }

  mutating func append(_ path: some Collection<UInt8>, size: Int, shard: Int = -1, place: Int = 0) {
    let start = bytes.count
    bytes += path
    files.append(File(path: start..<bytes.count, size: size, shard: shard, place: place))
  }

  func path(_ file: File) -> ArraySlice<UInt8> { bytes[file.path] }

  /// In the order of the paths' bytes; of equal ones the first found comes first.
  func sorted() -> [File] {
    bytes.withUnsafeBytes { all in
      files.sorted { left, right in
        let order = Self.compare(all, left, right)
        return order == 0 ? left.path.lowerBound < right.path.lowerBound : order < 0
      }
    }
  }

  /// The first two neighbours that have one path.
  func twins(in sorted: [File]) -> (File, File)? {
    bytes.withUnsafeBytes { all in
      zip(sorted, sorted.dropFirst()).first { Self.compare(all, $0, $1) == 0 }
    }
  }

  /// Below 0, 0 or above, as the left path's bytes come before the right one's.
  private static func compare(_ all: UnsafeRawBufferPointer, _ left: File, _ right: File) -> Int {
    guard let base = all.baseAddress else { return 0 }
    let common = min(left.path.count, right.path.count)
    let order = memcmp(base + left.path.lowerBound, base + right.path.lowerBound, common)
    return order == 0 ? left.path.count - right.path.count : Int(order)
  }

  /// The file with a path.
  /// - Complexity: some 20 comparisons among a million.
  func file(_ path: ArraySlice<UInt8>, in sorted: [File]) -> File? {
    var range = sorted.indices
    while !range.isEmpty {
      let middle = range.lowerBound + range.count / 2
      let found = self.path(sorted[middle])
      if found.elementsEqual(path) { return sorted[middle] }
      range =
        found.lexicographicallyPrecedes(path) ? middle + 1..<range.upperBound : range.lowerBound..<middle
    }
    return nil
  }

  /// Counts a file that is no picture.
  mutating func note(_ name: some Collection<UInt8>) {
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

  /// - Parameter root: as it was given.
  /// - Throws: `VisionError.emptyFolder`, `.noPictures`.
  func requireSome(of root: String) throws(VisionError) {
    guard files.isEmpty else { return }
    if isNothing { throw .emptyFolder(path: root) }
    throw .noPictures(path: root, found: summary)
  }
}

/// What a path inside a data set may be, of those that lists and tars have.
enum PicturePath {
  /// Of a path, as far as Linux takes one.
  static let bytesAtMost = 4096

  /// Without empty parts and dots; nil if a part leads up, or nothing is left.
  static func relative(_ path: some Collection<UInt8>) -> [UInt8]? {
    let parts = path.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }
    guard !parts.isEmpty, !parts.contains(where: { $0.elementsEqual("..".utf8) }) else { return nil }
    return Array(parts.joined(separator: [UInt8(ascii: "/")]))
  }

  /// Whether the file, or a folder above it, is one that does not count.
  static func isHidden(_ path: some Collection<UInt8>) -> Bool {
    path.split(separator: UInt8(ascii: "/")).contains { isHiddenName(Array($0)) }
  }

  /// Names that begin with a dot, among them "._name.jpg" and ".ipynb_checkpoints", and folders of systems.
  static func isHiddenName(_ name: [UInt8]) -> Bool {
    name.first == UInt8(ascii: ".") || systemFolders.contains(name)
  }

  /// Folders that systems make for themselves, with thumbnails and what was deleted in them; and one that only root may
  /// look into.
  private static let systemFolders = Set(
    ["__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"].map { Array($0.utf8) }
  )
}
