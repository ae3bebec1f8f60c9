import Checkpoints
import Durability
import Runs
import Vision

/// The pictures of a run, by the numbers that its steps know them by.
public struct RunPictures: Sendable {
  public let data: DataSet
  private let upright: Bool
  private let lost: [LostPictureRecord]

  /// - Parameter upright: whether the run turns them as their EXIF data say.
  /// - Throws: `VisualizationError.otherPictures`; `VisionError` of the folder; `CheckpointError`, `DurabilityError`.
  public init(
    _ folder: String, ofRunAt run: String, upright: Bool, in storage: any Storage = FileStorage()
  ) throws {
    self.upright = upright
    data = try DataSet(root: folder, ofRunAt: run, in: storage)
    guard let own = try RunDirectory.data(of: run, in: storage) else { throw CheckpointError.notARun(directory: run) }
    guard DataRecord(count: data.identity.count, digest: data.identity.digest) == own else {
      throw VisualizationError.otherPictures(folder: folder, run: run)
    }
    lost = try RunDirectory.lostPictures(of: run, in: storage)
  }

  /// The picture that a step was computed from at the place of another, with its index and path: itself, or the next one
  /// that decodes and was not lost by then.
  /// - Throws: `VisionError` of one that cannot be read any more.
  public func picture(_ index: Int, atStep step: Int) throws -> (index: Int, path: String, picture: Picture) {
    let lost = Set(lost.lazy.filter { $0.step <= step }.map(\.picture))
    let source = PictureSource(count: data.count, without: lost, upright: upright) { try data.read($0) }
    let (picture, passed) = try source.picture(index)
    let used = (index + passed.count) % data.count
    return (used, data.path(used), picture)
  }
}

extension RunPictures {
  /// The numbers of pictures that are the run's own.
  /// - Throws: `VisualizationError.notInData` for one that is not.
  public func numbers(of pictures: ChosenPictures) throws(VisualizationError) -> [Int] {
    var found: [Int] = []
    for (name, number) in zip(pictures.names, pictures.numbers(in: data)) {
      guard let number else { throw .notInData(picture: name, folder: data.root) }
      found.append(number)
    }
    return found
  }
}
