import Foundation
import Numerics

/// The few labels that low-shot evaluation learns from.
public enum LabelSplit {
  /// As many pictures of each class, drawn by a seed. A smaller number of the same draw takes some of the same pictures.
  /// - Parameters:
  ///   - classes: one a picture, each below `classCount`.
  ///   - each: pictures wanted of a class.
  ///   - draw: another one for other pictures.
  /// - Returns: places in `classes`, in their order, and the classes that have fewer pictures, all of which are taken.
  public static func balanced(
    _ classes: [Int], classCount: Int, each: Int, seed: UInt64, draw: Int
  ) -> (places: [Int], small: [Int]) {
    invariant(each > 0)
    var members = [[Int]](repeating: [], count: classCount)
    for (place, label) in classes.enumerated() { members[label].append(place) }
    var places: [Int] = []
    for (label, all) in members.enumerated() {
      var (all, stream) = (
        all,
        RandomStream(
          RandomKey(
            seed: seed, purpose: .evaluation, step: UInt64(draw), image: UInt64(label),
            view: EvaluationDraw.labels.rawValue))
      )
      for next in 0..<min(each, all.count) { all.swapAt(next, next + stream.integer(below: all.count - next)) }
      places += all.prefix(each)
    }
    return (places.sorted(), members.indices.filter { members[$0].count < each })
  }

  /// Pictures of each class that are a share of all, at least one.
  public static func each(share: Double, pictures: Int, classCount: Int) -> Int {
    max(1, Int((share * Double(pictures) / Double(classCount)).rounded()))
  }

  /// The pictures that a list names: as published ones are, a file name a line, with folders or without.
  /// - Returns: places in the selection, in their order, and the lines that name none of its pictures.
  /// - Throws: `EvaluationError.ambiguousName`, `.emptySplit`.
  public static func named(_ text: String, in pictures: PictureSelection, file: String) throws -> (
    places: [Int], missing: [String]
  ) {
    var byPath: [String: Int] = [:]
    var byName: [String: [Int]] = [:]
    for place in 0..<pictures.count {
      let path = pictures.path(place)
      byPath[path] = place
      byName[String(path.split(separator: "/").last ?? ""), default: []].append(place)
    }
    var (places, missing): (Set<Int>, [String]) = ([], [])
    for line in text.split(whereSeparator: \.isNewline) {
      let name = line.trimmingCharacters(in: .whitespaces)
      if name.isEmpty { continue }
      if let place = byPath[name] {
        places.insert(place)
        continue
      }
      let named = byName[String(name.split(separator: "/").last ?? "")] ?? []
      // Folders in the list may be others than here, but what they agree in counts.
      let agreeing = named.filter { "/\(pictures.path($0))".hasSuffix("/\(name)") }
      let found = agreeing.isEmpty && !name.contains("/") ? named : agreeing
      guard found.count <= 1 else {
        throw EvaluationError.ambiguousName(
          file: file, name: name, first: pictures.path(found[0]), second: pictures.path(found[1]))
      }
      if let place = found.first { places.insert(place) } else { missing.append(name) }
    }
    guard !places.isEmpty else { throw EvaluationError.emptySplit(file: file, folder: pictures.dataSet.root) }
    return (places.sorted(), missing)
  }
}
