import Glibc
import Printing

/// Looks for pictures in tars.
///
/// What counts in a folder counts here, by the same names. Beside a picture, an entry of WebDataset's kind may say its
/// class: the same name up to the first dot of its last part, and then ".cls".
struct TarListing {
  private(set) var found = FoundPictures()
  /// Of each tar, in their order.
  private(set) var stamps: [FileStamp] = []
  /// Files that say classes, by their paths without ".cls"; `place` is an index into `classNames`.
  private var classFiles = FoundPictures()
  private var classNumbers: [String: Int] = [:]

  /// Bytes of a class's name or number.
  private static let classBytesAtMost = 256

  /// - Parameter tars: paths, in the order in which entries of them name theirs.
  /// - Throws: `VisionError`, which names the tar, and an entry where one is at fault.
  init(_ tars: [String]) throws(VisionError) {
    for (index, tar) in tars.enumerated() { try scan(tar, index) }
  }

  private mutating func scan(_ tar: String, _ index: Int) throws(VisionError) {
    let file = try OpenTar(tar)
    stamps.append(file.stamp)
    var walk = TarWalk(path: tar, size: file.stamp.size) { offset, count throws(VisionError) in
      try file.read(at: offset, count: count)
    }
    while let entry = try walk.next() {
      func bad(_ reason: String) -> VisionError {
        .badTar(path: tar, reason: "'\(String(printing: entry.name))' \(reason)")
      }
      if entry.kind == .other { continue }
      guard let path = PicturePath.relative(entry.name), !entry.name.contains(0) else {
        throw bad("leads out of the tar")
      }
      if PicturePath.isHidden(path) {
        if entry.kind == .file && isPictureName(path) { found.hidden += 1 }
        continue
      }
      guard isPictureName(path) else {
        found.note(path)
        if let key = Self.key(path[...], ending: "cls") {
          guard entry.kind == .file else {
            throw bad("is a link or has holes. Make the tar with --dereference --hard-dereference, without --sparse")
          }
          try noteClass(entry, key, &walk, bad)
        }
        continue
      }
      switch entry.kind {
      case .link: throw bad("is a link to another file. Make the tar with --dereference --hard-dereference")
      case .sparse: throw bad("has holes that are not in the tar. Make the tar without --sparse")
      case .file, .other: found.append(path, size: entry.size, shard: index, place: entry.offset)
      }
    }
  }

  private mutating func noteClass(
    _ entry: TarWalk.Entry, _ key: ArraySlice<UInt8>, _ walk: inout TarWalk, _ bad: (String) -> VisionError
  ) throws(VisionError) {
    guard entry.size <= Self.classBytesAtMost else {
      throw bad("has \(entry.size) bytes; a class's number or name has at most \(Self.classBytesAtMost)")
    }
    let text = try walk.contents(entry)
    guard let whole = String(validating: text, as: UTF8.self) else { throw bad("is neither a number nor a name") }
    let name = whole.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    guard !name.isEmpty else { throw bad("names no class: it is empty") }
    let number = classNumbers[name] ?? classNumbers.count
    classNumbers[name] = number
    classFiles.append(key, size: entry.size, place: number)
  }

  /// A path up to the first dot of its last part, if what follows is `ending`, or anything where that is nil.
  private static func key(_ path: ArraySlice<UInt8>, ending: String?) -> ArraySlice<UInt8>? {
    let start = path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? path.startIndex
    guard let dot = path[start...].firstIndex(of: UInt8(ascii: ".")) else { return nil }
    guard ending.map({ path[(dot + 1)...].elementsEqual($0.utf8) }) ?? true else { return nil }
    return path[..<dot]
  }

  /// The pictures in order, and the names of their classes: by number where all are numbers, else by their bytes.
  /// - Parameter tars: as they were listed.
  /// - Throws: `VisionError.badTar` if two entries have one path.
  func table(_ tars: [String]) throws(VisionError) -> (table: PictureTable, classNames: [String]) {
    let files = found.sorted()
    if let (first, second) = found.twins(in: files) {
      let other = first.shard == second.shard ? "twice" : "and so does \(tars[first.shard])"
      throw .badTar(
        path: tars[second.shard], reason: "it has '\(String(printing: found.path(second)))' \(other)")
    }
    let areNumbers = classNumbers.keys.allSatisfy { Int($0) != nil }
    let names = classNumbers.keys.sorted {
      if areNumbers, let left = Int($0), let right = Int($1), left != right { return left < right }
      return $0.utf8.lexicographicallyPrecedes($1.utf8)
    }
    var places = [Int](repeating: 0, count: names.count)
    for (place, name) in names.enumerated() { if let number = classNumbers[name] { places[number] = place } }
    let classes = classFiles.sorted()
    if let (_, second) = classFiles.twins(in: classes) {
      throw .badTar(
        path: tars.count == 1 ? tars[0] : "\(tars[0]) and \(tars.count - 1) others",
        reason: "'\(String(printing: classFiles.path(second))).cls' is there twice")
    }
    var table = PictureTable(isInShards: true)
    for file in files {
      let path = found.path(file)
      let label = Self.key(path, ending: nil).flatMap { classFiles.file($0, in: classes) }.map { places[$0.place] }
      table.append(path, size: file.size, shard: file.shard, offset: file.place, label: label)
    }
    return (table, names)
  }
}

/// A tar that is open.
final class OpenTar {
  let path: String
  let stamp: FileStamp
  private let descriptor: CInt

  /// - Throws: `VisionError.badTar` if nothing is there; `.unreadable`, `.noResources`.
  init(_ path: String) throws(VisionError) {
    self.path = path
    let opened = open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else {
      throw errno == ENOENT ? .badTar(path: path, reason: "it does not exist") : unreadable(path)
    }
    var status = stat()
    guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(opened)
      throw .unreadable(path: path, reason: "it is no file")
    }
    (descriptor, stamp) = (opened, FileStamp(status))
  }

  deinit { close(descriptor) }

  /// - Throws: `VisionError.unreadable`, also if the file ends before.
  func read(at offset: Int, count: Int) throws(VisionError) -> [UInt8] {
    guard count > 0 else { return [] }
    var failure: VisionError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { memory, filled in
      while filled < count {
        let step = pread(descriptor, memory.baseAddress! + filled, count - filled, offset + filled)
        if step > 0 {
          filled += step
        } else if step == 0 {
          failure = .unreadable(path: path, reason: "it ends at byte \(offset + filled), and was longer")
          return
        } else if errno != EINTR {
          failure = unreadable(path)
          return
        }
      }
    }
    if let failure { throw failure }
    return bytes
  }
}
