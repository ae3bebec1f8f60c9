import Evaluation
import Glibc
import Printing
import Vision

/// Pictures that somebody named: files, and folders, lists and tars of which some are taken.
public struct ChosenPictures: Sendable {
  /// Where they are, for people.
  public let names: [String]
  private let places: [Place]

  private enum Place: Sendable {
    case file(String)
    case member(DataSet, Int)
  }

  /// - Parameters:
  ///   - paths: of files, folders, lists and tars, at least one.
  ///   - limit: pictures that are taken at most, at least 1: files first, the rest evenly from the folders.
  /// - Throws: `VisionError` of a folder.
  public init(_ paths: [String], atMost limit: Int) throws(VisionError) {
    var places: [Place] = []
    var folders: [DataSet] = []
    for path in paths {
      if DataSet.isOne(path) { folders.append(try DataSet(root: path)) } else { places.append(.file(path)) }
    }
    places = Array(places.prefix(limit))
    for (index, folder) in folders.enumerated() {
      let share = (limit - places.count + folders.count - index - 1) / (folders.count - index)
      let count = min(share, folder.count)
      places += (0..<count).map { .member(folder, $0 * folder.count / count) }
    }
    self.places = places
    names = places.map { place in
      switch place {
      case .file(let path): path.printable
      case .member(let folder, let index): folder.wholePath(index)
      }
    }
  }

  public var count: Int { places.count }

  /// The number of each in a data set; nil for one that is not in it.
  ///
  /// A file is where the data set has one; a picture of a tar, or of the same data set in another form, has the same path
  /// inside and the same size.
  /// - Complexity: some 20 comparisons a picture in a million.
  func numbers(in data: DataSet) -> [Int?] {
    let root = data.folder.flatMap { realPath(Array($0.utf8)) }.map { $0 + [UInt8(ascii: "/")] }
    func number(ofFile path: [UInt8]) -> Int? {
      guard let root, let path = realPath(path), path.starts(with: root) else { return nil }
      return data.index(ofPath: Array(path[root.count...]))
    }
    return places.map { place in
      switch place {
      case .file(let path): return number(ofFile: Array(path.utf8))
      case .member(let own, let index):
        let path = own.pathBytes(index)
        if own.identity == data.identity { return index }
        if let folder = own.folder, root != nil { return number(ofFile: Array("\(folder)/".utf8) + path) }
        return data.index(ofPath: path).flatMap { data.size($0) == own.size(index) ? $0 : nil }
      }
    }
  }

  /// Gives those that can be read and decode, one after the other.
  /// - Parameters:
  ///   - upright: turns them as their EXIF data say.
  ///   - skip: told of each that is left out.
  /// - Returns: how many there were.
  /// - Throws: `VisualizationError.nothingLeft`; `VisionError.noResources`; what `body` throws.
  @discardableResult
  public func forEach(
    upright: Bool = false, skip: (SkippedPicture) -> Void, _ body: (_ name: String, _ picture: Picture) throws -> Void
  ) throws -> Int {
    var used = 0
    var first: SkippedPicture?
    for (name, place) in zip(names, places) {
      let picture: Picture
      do {
        picture = try Self.picture(at: place, upright: upright)
      } catch {
        let reason =
          switch error {
          case .undecodable(let reason): "it is no picture that decodes: \(reason)"
          case .unreadable(_, let reason): reason
          case .changed: "it has another size than when the folder was listed"
          default: throw error
          }
        let skipped = SkippedPicture(path: name, reason: reason)
        first = first ?? skipped
        skip(skipped)
        continue
      }
      try body(name, picture)
      used += 1
    }
    if used == 0 { throw VisualizationError.nothingLeft(skipped: count, first: first?.description ?? "") }
    return used
  }

  private static func picture(at place: Place, upright: Bool) throws(VisionError) -> Picture {
    switch place {
    case .file(let path): try Picture(at: path, upright: upright)
    case .member(let folder, let index): try Picture(file: folder.read(index), upright: upright)
    }
  }
}

/// Without links and dots; nil if nothing is there.
private func realPath(_ path: [UInt8]) -> [UInt8]? {
  guard let found = realpath(path.map(CChar.init(bitPattern:)) + [0], nil) else { return nil }
  defer { free(found) }
  return Array(UnsafeBufferPointer(start: found, count: strlen(found))).map(UInt8.init(bitPattern:))
}
