import Checkpoints
import Configuration
import Durability
import EventFiles
import Foundation
import Runs
import Training
import Vision

/// Views of a run's pictures, as its steps are computed from them: pictures for people.
struct SampleViews {
  /// Pictures of a batch that are shown.
  private static let pictures = 4
  /// Between two views, in pixels.
  private static let gap = 2
  private static let gapLevel: UInt8 = 128

  let run: String
  private let data: DataSet

  /// - Throws: `VisionError` of the folder; `CheckpointError`, `DurabilityError` of the run; `OtherPictures`.
  init(of run: String, data: String) throws {
    self.run = run
    self.data = try DataSet(root: data, ofRunAt: run)
    guard let own = try RunDirectory.data(of: run, in: FileStorage()),
      DataRecord(count: self.data.identity.count, digest: self.data.identity.digest) == own
    else { throw OtherPictures(folder: data, run: run) }
  }

  struct OtherPictures: Error, CustomStringConvertible {
    let folder: String
    let run: String
    var description: String { "\(folder) has other pictures than those that \(run) is trained on." }
  }

  /// The first pictures of a step's batch, each as a strip of all its views: the two global ones, then the local ones.
  /// - Parameter step: from 0 on.
  func strips(ofStep step: Int) throws -> [(tag: String, picture: EventPicture)] {
    let recipe = try RunDirectory.newestConfiguration(of: run, in: FileStorage())
    let layer = try ConfigurationLayer(recipe: recipe, file: "\(run)/config.yaml")
    let definition = try RunDefinition(configuration: RunConfiguration(layers: [layer]), pictures: data.count)
    let lost = try RunDirectory.lostPictures(of: run, in: FileStorage()).filter { $0.step <= step }.map(\.picture)
    let source = PictureSource(
      count: data.count, without: Set(lost), upright: definition.configuration.exifOrientation
    ) { try data.read($0) }
    var sampler = ViewSampler(settings: ViewSettings(definition.configuration), seed: definition.configuration.seed)
    return try (0..<min(Self.pictures, definition.configuration.batchSize)).map { place in
      let index = definition.picture(step: step, indexInBatch: place)
      let picture = try source.picture(index).picture
      let views = (0..<ViewSettings.globalViews + sampler.settings.localViews).map {
        sampler.picture(ofView: $0, of: picture, image: index, epoch: definition.epoch(ofStep: step))
      }
      let strip = Self.strip(of: views)
      return ("views/\(place)", EventPicture(width: strip.width, height: strip.height, jpeg: strip.jpeg()))
    }
  }

  /// Side by side, at the top.
  private static func strip(of views: [Picture]) -> Picture {
    let height = views.map(\.height).max() ?? 1
    let width = views.reduce(0) { $0 + $1.width } + gap * (views.count - 1)
    var pixels = [UInt8](repeating: gapLevel, count: 3 * width * height)
    var left = 0
    for view in views {
      for row in 0..<view.height {
        let start = 3 * (row * width + left)
        let line = view.pixels[(3 * row * view.width)..<(3 * (row + 1) * view.width)]
        pixels.replaceSubrange(start..<start + line.count, with: line)
      }
      left += view.width + gap
    }
    return Picture(width: width, height: height, pixels: pixels)
  }
}
