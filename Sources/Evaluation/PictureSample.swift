import Configuration
import Networks
import Numerics
import Training
import Vision

/// Pictures of a run that its features are judged by again and again: always the same.
public struct PictureSample: Sendable {
  /// Indices in the data set, ascending.
  public let pictures: [Int]
  /// The class of each, from 0; nil where it has none.
  public let classes: [Int?]

  /// Pictures that pass the network together.
  static let together = 16
  /// Views of a picture for LiDAR, two of them with each of the numbers below.
  static let views = 4
  /// In the place of an epoch, where no run comes to: views are drawn apart from the training's.
  private static let epoch = 1 << 40

  /// - Parameters:
  ///   - pictures: indices in the data set.
  ///   - classes: one a picture.
  public init(pictures: [Int], classes: [Int?]) {
    invariant(pictures.count == classes.count, "\(classes.count) classes of \(pictures.count) pictures")
    (self.pictures, self.classes) = (pictures, classes)
  }

  /// So many pictures of a data set, or all of one that is smaller, drawn by the run's seed.
  public static func drawn(_ count: Int, of pictures: Int, seed: UInt64) -> [Int] {
    let order = KeyedPermutation(count: pictures, seed: seed, purpose: .evaluation, index: 0)
    return (0..<min(count, pictures)).map { order[$0] }.sorted()
  }

  /// Pictures passed through the network for a sample of so many: each whole, and of every second one `views` views.
  public static func passes(ofSample count: Int) -> Int { count + (count + 1) / 2 * views }

  /// Floats that it takes besides the weights: features, a piece's pixels, and what the network computes in.
  public static func floats(of definition: RunDefinition, sample count: Int) -> Int {
    let side = definition.configuration.imageSize
    return passes(ofSample: count) * definition.architecture.embedDim + 2 * together * 3 * side * side
      + BackboneWorkspace.floatCount(
        definition.architecture, maximumImages: together, side: side, keepsActivations: false)
  }
}

// MARK: - Judging

extension PictureSample {
  /// Judges the backbone's features of the sample, on the calling thread alone.
  ///
  /// A whole picture is the largest square in its middle, resized to `image_size`. Views are a run's global ones, drawn
  /// with numbers of their own.
  /// - Parameters:
  ///   - weights: laid out by the definition's layout; only read.
  ///   - read: the bytes of some pictures by their indices; those that cannot be had are left out, as are those that do
  ///     not decode.
  ///   - check: throws once nobody wants it any more; asked some times a second.
  /// - Throws: `DiagnosticsError`; what `read` and `check` throw; `NetworkError`.
  public func diagnose(
    _ definition: RunDefinition, weights: FloatBuffer, read: ([Int]) throws -> [Int: [UInt8]],
    check: () throws -> Void = {}
  ) throws -> FeatureDiagnostics {
    var pass = try SamplePass(definition, weights, pictures: pictures.count)
    for start in stride(from: 0, to: pictures.count, by: Self.together) {
      try check()
      let places = start..<min(start + Self.together, pictures.count)
      let bytes = try read(places.map { pictures[$0] })
      for place in places {
        guard let file = bytes[pictures[place]],
          let picture = try? Picture(
            file: file, upright: definition.configuration.exifOrientation)
        else { continue }
        pass.add(picture, class: classes[place])
        // Every second, whichever of the others can be read.
        guard place.isMultiple(of: 2) else { continue }
        try check()
        pass.addViews(of: picture, index: pictures[place], epoch: Self.epoch)
      }
    }
    return try pass.judged(of: pictures.count)
  }
}

/// The network at work on a sample.
private struct SamplePass {
  private let side: Int
  private let normalization: Normalization
  private var sampler: ViewSampler
  private var resampler = Resampler()
  private var whole: Lane
  private var views: Lane
  private var classes: [Int?] = []

  init(_ definition: RunDefinition, _ weights: FloatBuffer, pictures: Int) throws {
    side = definition.configuration.imageSize
    let settings = ViewSettings(definition.configuration)
    normalization = Normalization(mean: settings.mean, deviation: settings.deviation)
    sampler = ViewSampler(settings: settings, seed: definition.configuration.seed)
    let backbone = Backbone(definition.architecture)
    let workspace = try BackboneWorkspace(
      definition.architecture, maximumImages: PictureSample.together, side: side, keepsActivations: false)
    let weights = NetworkWeights(weights, .fp32)
    whole = Lane(backbone, workspace, weights, pictures: pictures)
    views = Lane(backbone, workspace, weights, pictures: (pictures + 1) / 2 * PictureSample.views)
  }

  /// A whole picture.
  mutating func add(_ picture: Picture, class label: Int?) {
    normalization.write(resampler.square(of: picture, side: side), into: whole.next())
    classes.append(label)
  }

  mutating func addViews(of picture: Picture, index: Int, epoch: Int) {
    for view in 0..<PictureSample.views {
      sampler.writeView(view % 2, of: picture, image: index, epoch: epoch + view / 2, into: views.next())
    }
  }

  mutating func judged(of count: Int) throws(DiagnosticsError) -> FeatureDiagnostics {
    let (features, viewFeatures) = (whole.all(), views.all())
    guard let features, let viewFeatures, features.rows > 1, viewFeatures.rows > PictureSample.views else {
      throw .tooFewPictures(usable: features?.rows ?? 0, of: count)
    }
    return try FeatureDiagnostics(
      features, classes: classes, viewFeatures: viewFeatures, views: PictureSample.views)
  }
}

/// Pictures of one kind on their way through the network, some together.
private struct Lane {
  private let backbone: Backbone
  private let workspace: BackboneWorkspace
  private let weights: NetworkWeights
  private let pixels: Matrix
  private let features: Matrix
  /// Rows of `features` that are there, and pictures in `pixels`.
  private var (found, waiting) = (0, 0)

  init(_ backbone: Backbone, _ workspace: BackboneWorkspace, _ weights: NetworkWeights, pictures: Int) {
    (self.backbone, self.workspace, self.weights) = (backbone, workspace, weights)
    func matrix(_ rows: Int, _ columns: Int) -> Matrix {
      FloatBuffer(count: rows * columns).matrix(rows: rows, columns: columns)
    }
    pixels = matrix(PictureSample.together, 3 * workspace.side * workspace.side)
    features = matrix(pictures, backbone.architecture.embedDim)
  }

  /// Where the next picture's pixels go.
  mutating func next() -> Vector {
    if waiting == pixels.rows { pass() }
    waiting += 1
    return pixels.row(at: waiting - 1)
  }

  /// The features of all pictures; nil of none.
  mutating func all() -> Matrix? {
    pass()
    return found > 0 ? features.rows(0..<found) : nil
  }

  private mutating func pass() {
    guard waiting > 0 else { return }
    backbone.forward(
      pixels.rows(0..<waiting), weights: weights, workspace: workspace, into: features.rows(found..<found + waiting))
    found += waiting
    waiting = 0
  }
}
