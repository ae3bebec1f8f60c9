import Durability
import Foundation

/// A picture that could not be read any more while a run went on: from a step on another takes its place.
public struct LostPictureRecord: Codable, Hashable, Sendable {
  /// Index in the data set.
  public var picture: Int
  /// The first step without it.
  public var step: Int
  /// Relative to the data set's folder; where it is not UTF-8, what is not is replaced.
  public var path: String
  /// Nil where `path` is all of it.
  public var pathBytes: Data?
  /// Bytes of the file when the data set was listed.
  public var size: Int

  public init(picture: Int, step: Int, path: [UInt8], size: Int) {
    self.picture = picture
    self.step = step
    self.path = String(decoding: path, as: UTF8.self)
    pathBytes = self.path.utf8.elementsEqual(path) ? nil : Data(path)
    self.size = size
  }

  public var bytesOfPath: [UInt8] { pathBytes.map { Array($0) } ?? Array(path.utf8) }
}

/// `lost_pictures.json` of a run directory. What follows from a step depends on it, so it is as whole as a checkpoint; and
/// it names what was lost, so that the data set is known again without it.
private struct LostPictures: Codable {
  static let formatVersion = 1
  var formatVersion = LostPictures.formatVersion
  /// Ascending by picture.
  var pictures: [LostPictureRecord]
}

extension RunDirectory {
  static let lostPicturesFile = "lost_pictures.json"
  private static let lostPicturesSizeAtMost = 64 << 20

  /// Empty if there is no such file. May be read without the lock.
  /// - Throws: `CheckpointError.damagedRecord`, `.newerFormat`; `DurabilityError`.
  public static func lostPictures(of path: String, in storage: any Storage) throws -> [LostPictureRecord] {
    let file = "\(path)/\(lostPicturesFile)"
    guard try storage.exists(file) else { return [] }
    do {
      let record = try SealedJSON.value(
        LostPictures.self, from: storage.readWhole(file, limit: lostPicturesSizeAtMost), file: file,
        version: LostPictures.formatVersion)
      let numbers = record.pictures.flatMap { [$0.picture, $0.step, $0.size] }
      guard numbers.allSatisfy({ 0..<Manifest.numbersBelow ~= $0 }) else {
        throw CheckpointError.damagedRecord(file: file, reason: "has impossible numbers")
      }
      return record.pictures
    } catch CheckpointError.damaged(_, _, let reason) {
      throw CheckpointError.damagedRecord(file: file, reason: reason)
    }
  }

  public func lostPictures() throws -> [LostPictureRecord] { try Self.lostPictures(of: path, in: storage) }

  /// Adds pictures, or says other steps of them; durable when it returns.
  public func lose(_ pictures: [LostPictureRecord]) throws {
    try verifyLock()
    var all = Dictionary(try lostPictures().map { ($0.picture, $0) }) { $1 }
    for picture in pictures { all[picture.picture] = picture }
    try storage.writeAtomically(
      SealedJSON.bytes(of: LostPictures(pictures: all.values.sorted { $0.picture < $1.picture })),
      to: "\(path)/\(Self.lostPicturesFile)")
  }
}
