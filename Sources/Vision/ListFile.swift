import Durability
import Glibc
import Printing

/// A text file that names pictures, one path a line.
///
/// The paths are relative to the list's own folder, or to the one that a first line `root: FOLDER` names, itself
/// relative to the list's. Empty lines do not count; a carriage return at a line's end, and a byte order mark, are no
/// part of it. All that is listed is a picture, whatever its name.
struct ListFile {
  /// The folder that the paths are relative to.
  let root: String
  private(set) var found = FoundPictures()
  /// Of the list itself.
  let stamp: FileStamp
  /// Of the folders that its pictures are in, by their paths from the root: empty for the root.
  private(set) var folders: [(path: [UInt8], stamp: FileStamp)] = []

  private static let bytesAtMost = 4 << 30
  private static let rootMark = "root:"

  /// Reads a list and looks at every file that it names.
  /// - Parameter lost: paths that may be there or not.
  /// - Throws: `VisionError.badLine`, which names list and line; `.unreadable`, `.emptyFolder`.
  init(_ path: String, without lost: [[UInt8]]) throws(VisionError) {
    var status = stat()
    guard stat(path, &status) == 0 else { throw unreadable(path) }
    stamp = FileStamp(status)
    guard stamp.size <= Self.bytesAtMost else {
      throw .badLine(list: path, line: 1, reason: "the list has \(stamp.size) bytes, and at most 4 GiB are read")
    }
    let text = try readFile(Array(path.utf8), size: stamp.size, atMost: stamp.size)

    // 1. The root.
    let folder = parent(of: path)
    var lines = Lines(text)
    if let first = lines.peek(), first.starts(with: Self.rootMark.utf8) {
      let named = first.dropFirst(Self.rootMark.utf8.count).drop { $0 == UInt8(ascii: " ") }
      guard !named.isEmpty, let name = String(validating: named, as: UTF8.self) else {
        throw .badLine(list: path, line: lines.number + 1, reason: "'root:' names no folder")
      }
      root = name.hasPrefix("/") ? name : "\(folder)/\(name)"
      guard isFolder(root) else {
        throw .badLine(list: path, line: lines.number + 1, reason: "there is no folder \(root)")
      }
      _ = lines.next()
    } else {
      root = folder
    }

    // 2. The pictures.
    let descriptor = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(root) }
    defer { close(descriptor) }
    let above = realpath(root, nil).map { found in
      defer { free(found) }
      return Array(UnsafeBufferPointer(start: found, count: strlen(found))).map(UInt8.init(bitPattern:))
    }
    let lost = Set(lost)
    var seen: Set<[UInt8]> = []
    var lastFolder: ArraySlice<UInt8>?
    while let line = lines.next() {
      func refuse(_ reason: String) -> VisionError { .badLine(list: path, line: lines.number, reason: reason) }
      let name = String(printing: line.prefix(PicturePath.bytesAtMost))
      guard line.count <= PicturePath.bytesAtMost, !line.contains(0) else {
        throw refuse("that is no path. Give a text file in UTF-8 with a path in each line")
      }
      var inside = line
      if line.first == UInt8(ascii: "/") {
        guard let above, let rest = Self.path(line, below: above) ?? Self.path(line, below: Array(root.utf8)) else {
          throw refuse("'\(name)' is not in \(root), to which the list's paths are relative")
        }
        inside = rest
      }
      guard let picture = PicturePath.relative(inside) else {
        throw refuse("'\(name)' leads out of \(root), to which the list's paths are relative")
      }
      let folder = picture.lastIndex(of: UInt8(ascii: "/")).map { picture[..<$0] } ?? []
      if lastFolder.map({ !$0.elementsEqual(folder) }) ?? true {
        lastFolder = folder
        if seen.insert(Array(folder)).inserted, let stamp = FileStamp(at: Array("\(root)/".utf8) + folder) {
          folders.append((Array(folder), stamp))
        }
      }
      guard fstatat(descriptor, picture.map(CChar.init(bitPattern:)) + [0], &status, 0) == 0 else {
        if lost.contains(picture) { continue }
        guard errno == ENOENT || errno == ENOTDIR else { throw unreadable("\(root)/\(String(printing: picture))") }
        throw refuse("there is no file '\(String(printing: picture))' in \(root)")
      }
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw refuse("'\(name)' is \(status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "no file")")
      }
      found.append(picture, size: Int(status.st_size), place: lines.number)
    }
    guard !found.files.isEmpty else { throw .emptyFolder(path: path) }
  }

  /// The error of a path that is there twice.
  func twice(_ first: FoundPictures.File, _ second: FoundPictures.File, list: String) -> VisionError {
    .badLine(
      list: list, line: second.place,
      reason: "'\(String(printing: found.path(second)))' is in line \(first.place) too")
  }

  private static func path(_ line: ArraySlice<UInt8>, below folder: [UInt8]) -> ArraySlice<UInt8>? {
    let prefix = folder.last == UInt8(ascii: "/") ? folder : folder + [UInt8(ascii: "/")]
    return line.starts(with: prefix) ? line.dropFirst(prefix.count) : nil
  }
}

/// A text's lines that are not empty.
private struct Lines {
  private let text: [UInt8]
  private var position: Int
  /// Of the line that was given last, from 1 on.
  private(set) var number = 0

  init(_ text: [UInt8]) {
    self.text = text
    position = text.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
  }

  mutating func next() -> ArraySlice<UInt8>? {
    while position < text.count {
      let end = text[position...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
      var line = text[position..<end]
      position = end + 1
      number += 1
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
      if !line.isEmpty { return line }
    }
    return nil
  }

  /// The first line, while none was given; nil if the text begins with an empty one.
  func peek() -> ArraySlice<UInt8>? {
    var copy = self
    guard let line = copy.next(), copy.number == 1 else { return nil }
    return line
  }
}
