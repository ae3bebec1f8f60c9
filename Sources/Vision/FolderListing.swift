import Glibc
import Printing

/// Looks for pictures in a folder and those below it.
struct FolderListing {
  /// Nothing is hidden.
  private let countsHidden: Bool
  /// Files, and the folders that they are in, with slashes at their ends, that need not be there.
  private let lost: Set<[UInt8]>

  private(set) var found = FoundPictures()
  /// Paths of files whose names end in .tar.
  private(set) var tars: [[UInt8]] = []
  /// Of the folders that were looked into, by their paths: empty for the root.
  private(set) var folders: [(path: [UInt8], stamp: FileStamp)] = []

  init(countsHidden: Bool, lost: [[UInt8]]) {
    self.countsHidden = countsHidden
    let folders = lost.flatMap { path in
      path.indices.filter { path[$0] == UInt8(ascii: "/") }.map { Array(path[...$0]) }
    }
    self.lost = Set(lost + folders)
  }

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

  private func isHidden(_ name: [UInt8]) -> Bool { !countsHidden && PicturePath.isHiddenName(name) }

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
    if !isHidden { folders.append((prefix.dropLast(), FileStamp(status))) }
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
          found.note(name)
          continue
        }
        kind =
          switch status.st_mode & S_IFMT {
          case S_IFDIR: EntryKind.folder
          case S_IFREG: EntryKind.regular
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
        if isPicture && kind == EntryKind.regular { found.hidden += 1 }
      } else if isPicture && kind == EntryKind.regular {
        found.append(prefix + name, size: Int(status.st_size))
      } else {
        found.note(name)
        if kind == EntryKind.regular && isTarName(name) { tars.append(prefix + name) }
      }
    }
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

// Of <dirent.h>, whose own are of other types.
private enum EntryKind {
  static let unknown: Int32 = 0
  static let folder: Int32 = 4
  static let regular: Int32 = 8
  static let link: Int32 = 10
}
