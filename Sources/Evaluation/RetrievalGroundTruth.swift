import Durability
import Foundation
import Vision

/// Which pictures are relevant to which queries, as revisited Oxford and Paris say it.
///
/// The published file is a pickle, which only Python reads; this is its content as JSON: `imlist` and `qimlist`, names of
/// files without their endings, and `gnd`, an object a query with the lists `easy`, `hard` and `junk` of places in
/// `imlist`. Source: Radenović et al., "Revisiting Oxford and Paris" (CVPR 2018).
public struct RetrievalGroundTruth: Sendable {
  /// Names of the bank's pictures, without their endings.
  public let pictures: [String]
  public let queryNames: [String]
  public let queries: [Query]

  /// What is asked for. What is relevant to one level and not to another is junk there.
  public enum Level: String, CaseIterable, Sendable {
    case easy, medium, hard
  }

  /// Places in `pictures`.
  public struct Query: Decodable, Sendable {
    let easy: [Int]
    let hard: [Int]
    let junk: [Int]

    func roles(_ level: Level) -> [Int: Relevance] {
      let (relevant, junk) =
        switch level {
        case .easy: (easy, self.junk + hard)
        case .medium: (easy + hard, self.junk)
        case .hard: (hard, self.junk + easy)
        }
      return Dictionary(relevant.map { ($0, .relevant) } + junk.map { ($0, .junk) }) { first, _ in first }
    }
  }

  /// What turns the published pickle into such a file, in Python.
  public static let conversion =
    "import json, pickle; json.dump(pickle.load(open(\"gnd_roxford5k.pkl\", \"rb\")), "
    + "open(\"gnd_roxford5k.json\", \"w\"), default=lambda a: a.tolist())"

  private struct Contents: Decodable {
    let imlist: [String]
    let qimlist: [String]
    let gnd: [Query]
  }

  static let sizeAtMost = 256 << 20

  /// - Throws: `EvaluationError.groundTruth`; `DurabilityError`.
  public init(_ path: String, in storage: any Storage = FileStorage()) throws {
    let bytes = try storage.readWhole(path, limit: Self.sizeAtMost)
    func refuse(_ reason: String) -> EvaluationError { .groundTruth(file: path, reason: reason) }
    if bytes.first == 0x80 { throw refuse("it is a pickle, which only Python reads") }
    let contents: Contents
    do {
      contents = try JSONDecoder().decode(Contents.self, from: Data(bytes))
    } catch let DecodingError.keyNotFound(key, _) {
      throw refuse("it has no '\(key.stringValue)'")
    } catch {
      throw refuse("it is no JSON object of lists")
    }
    guard !contents.imlist.isEmpty, !contents.qimlist.isEmpty else {
      throw refuse("it names no pictures, or no queries")
    }
    guard contents.gnd.count == contents.qimlist.count else {
      throw refuse("it has \(contents.qimlist.count) queries and the truth about \(contents.gnd.count)")
    }
    for (query, truth) in contents.gnd.enumerated() {
      for place in truth.easy + truth.hard + truth.junk where !contents.imlist.indices.contains(place) {
        throw refuse("query \(query) names picture \(place) of \(contents.imlist.count)")
      }
    }
    pictures = contents.imlist
    queryNames = contents.qimlist
    queries = contents.gnd
  }

  /// The pictures and the queries in a folder, at any depth.
  /// - Throws: `EvaluationError.missingPictures`, `.ambiguousName`; `VisionError`.
  public func selections(in folder: String, file: String) throws -> (
    bank: PictureSelection, queries: PictureSelection
  ) {
    let all = try PictureSelection(folder)
    let wanted = Set((pictures + queryNames).map(pictureName))
    guard Set(pictures.map(pictureName)).count == Set(pictures).count else {
      throw EvaluationError.groundTruth(file: file, reason: "names in 'imlist' differ in folders or endings alone")
    }
    var places: [String: Int] = [:]
    for place in 0..<all.count {
      let name = pictureName(all.path(place))
      if let other = places.updateValue(place, forKey: name), wanted.contains(name) {
        throw EvaluationError.ambiguousName(file: file, name: name, first: all.path(other), second: all.path(place))
      }
    }
    let missing = (pictures + queryNames).filter { places[pictureName($0)] == nil }
    guard missing.isEmpty else { throw EvaluationError.missingPictures(folder: folder, names: missing) }
    func selection(_ names: [String]) -> PictureSelection {
      PictureSelection(all.dataSet, indices: names.compactMap { places[pictureName($0)] })
    }
    return (selection(pictures), selection(queryNames))
  }
}

/// A file's name without folders and the ending of a picture.
func pictureName(_ path: String) -> String {
  let name = path.split(separator: "/").last.map(String.init) ?? path
  for ending in DataSet.pictureEndings where name.lowercased().hasSuffix(ending) {
    return String(name.dropLast(ending.count))
  }
  return name
}
