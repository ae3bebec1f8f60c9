import Numerics

/// Makes the views of pictures: numbers that a network takes, each a pure function of (seed, epoch, image, view) and
/// of the picture.
///
///     var sampler = ViewSampler(settings: settings, seed: seed)
///     sampler.writeView(2, of: picture, image: 7, epoch: 0, into: inputs[2].row(at: position))
///
/// Holds scratch memory that grows to the largest picture seen, then allocates no more: keep one a thread.
public struct ViewSampler: Sendable {
  public let settings: ViewSettings
  public let seed: UInt64
  private let normalization: Normalization
  private var resampler = Resampler()
  private var blurScratch = BlurScratch()
  private var view = Picture(width: 1, height: 1, pixels: [0, 0, 0])

  public init(settings: ViewSettings, seed: UInt64) {
    self.settings = settings
    self.seed = seed
    normalization = Normalization(mean: settings.mean, deviation: settings.deviation)
  }

  public func parameters(ofView view: Int, of picture: Picture, image: Int, epoch: Int) -> ViewParameters {
    .drawn(
      view: view, width: picture.width, height: picture.height, settings: settings,
      key: RandomKey(
        seed: seed, purpose: .augmentation, step: UInt64(epoch), image: UInt64(image), view: UInt32(view)))
  }

  /// Writes one view, normalised, channel by channel.
  /// - Parameters:
  ///   - image: the picture's number in the data set; `epoch` counts from 0.
  ///   - row: `3 * size * size` floats, `[3, size, size]`.
  public mutating func writeView(_ view: Int, of picture: Picture, image: Int, epoch: Int, into row: Vector) {
    cut(view, of: picture, image: image, epoch: epoch)
    normalization.write(self.view, into: row)
  }

  /// One view as people see it: what `writeView` normalises.
  public mutating func picture(ofView view: Int, of picture: Picture, image: Int, epoch: Int) -> Picture {
    cut(view, of: picture, image: image, epoch: epoch)
    return self.view
  }

  private mutating func cut(_ view: Int, of picture: Picture, image: Int, epoch: Int) {
    let parameters = parameters(ofView: view, of: picture, image: image, epoch: epoch)
    resampler.resize(parameters.region, of: picture, to: parameters.size, into: &self.view)
    for operation in parameters.operations { self.view.apply(operation, scratch: &blurScratch) }
  }
}
