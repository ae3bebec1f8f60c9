import Foundation

/// Which picture each altered copy was made of, by their names.
public struct CopyPairs: Sendable {
  public let originals: PictureSelection
  public let copies: PictureSelection
  /// Of each copy: the place of its original.
  public let owners: [Int]
  /// Of each copy: its folder, which says how it was altered; "." for one in the folder itself or in its original's.
  public let kinds: [String]
  /// Copies that belong to no original.
  public let strangers: [String]

  /// - Throws: `EvaluationError.noCopies` if none belongs to an original, `.ambiguousName` if two originals have one name;
  ///   `VisionError`.
  public init(originals: String, copies: String) throws {
    self.originals = try PictureSelection(originals)
    var places: [String: Int] = [:]
    for place in 0..<self.originals.count {
      let path = self.originals.path(place)
      if let other = places.updateValue(place, forKey: pictureName(path)) {
        throw EvaluationError.ambiguousName(
          file: originals, name: pictureName(path), first: self.originals.path(other), second: path)
      }
    }
    let all = try PictureSelection(copies)
    var (indices, owners, kinds, strangers) = ([Int](), [Int](), [String](), [String]())
    for place in 0..<all.count {
      guard let (owner, kind) = Self.owner(of: all.path(place), among: places) else {
        strangers.append(all.wholePath(place))
        continue
      }
      indices.append(all.indices[place])
      owners.append(owner)
      kinds.append(kind)
    }
    guard !indices.isEmpty else { throw EvaluationError.noCopies(originals: originals, copies: copies) }
    self.copies = PictureSelection(all.dataSet, indices: indices)
    (self.owners, self.kinds, self.strangers) = (owners, kinds, strangers)
  }

  /// A copy is its original's if a folder above it has the original's name; or if it has that name itself; or if its
  /// number has the same hundreds, as Copydays numbers them: 200001 to 200099 are copies of 200000.
  static func owner(of path: String, among originals: [String: Int]) -> (place: Int, kind: String)? {
    let parts = path.split(separator: "/").map(String.init)
    let folders = parts.dropLast()
    if let folder = folders.last(where: { originals[$0] != nil }), let place = originals[folder] {
      return (place, kind(folders.filter { $0 != folder }))
    }
    let name = pictureName(path)
    let kind = kind(Array(folders))
    if let place = originals[name] { return (place, kind) }
    guard name.count > 2, name.allSatisfy(\.isNumber), let place = originals[name.dropLast(2) + "00"] else {
      return nil
    }
    return (place, kind)
  }

  private static func kind(_ folders: [String]) -> String { folders.isEmpty ? "." : folders.joined(separator: "/") }
}
