import Numerics

/// What chance decided for one view of one picture: what is cut out of it, and what is then done to that, in order.
public struct ViewParameters: Equatable, Sendable {
  public var region: Region
  /// Side of the view, in pixels.
  public var size: Int
  public var operations: [PictureOperation]
}

extension ViewParameters {
  /// Draws one view's parameters, in the method's order: a pure function of the arguments.
  ///
  /// - Parameters:
  ///   - view: 0 and 1 are the global views, from 2 on the local ones.
  ///   - width: of the picture, in pixels; `height` likewise.
  ///   - key: seed, epoch or step, image and view.
  public static func drawn(
    view: Int, width: Int, height: Int, settings: ViewSettings, key: RandomKey
  ) -> ViewParameters {
    var random = Draws(key)
    let scale = view < ViewSettings.globalViews ? settings.globalScale : settings.localScale
    let region = random.region(width: width, height: height, scale: scale, aspectRatio: settings.aspectRatio)
    var operations: [PictureOperation] = []
    if random.happens(settings.flipProbability) { operations.append(.flip) }
    if random.happens(settings.jitterProbability) { operations += random.jitter(settings) }
    if random.happens(settings.grayProbability) { operations.append(.grayscale) }
    if random.happens(settings.blurProbability(ofView: view)) {
      operations.append(.blur(sigma: random.number(in: settings.blurSigma)))
    }
    if view == 1, random.happens(settings.solarizeProbability) {
      operations.append(.solarize(threshold: settings.solarizeThreshold))
    }
    return ViewParameters(region: region, size: settings.size(ofView: view), operations: operations)
  }
}

extension Draws {
  /// torchvision's RandomResizedCrop: ten tries, then the largest region at the centre whose ratio is allowed.
  fileprivate mutating func region(
    width: Int, height: Int, scale: ClosedRange<Double>, aspectRatio: ClosedRange<Double>
  ) -> Region {
    let logarithms = logarithm(aspectRatio.lowerBound)...logarithm(aspectRatio.upperBound)
    for _ in 0..<10 {
      let area = Double(width * height) * number(in: scale)
      let ratio = exponential(number(in: logarithms))
      let cutWidth = Int((area * ratio).squareRoot().rounded(.toNearestOrEven))
      let cutHeight = Int((area / ratio).squareRoot().rounded(.toNearestOrEven))
      if 1...width ~= cutWidth, 1...height ~= cutHeight {
        let top = index(below: height - cutHeight + 1)
        let left = index(below: width - cutWidth + 1)
        return Region(top: top, left: left, height: cutHeight, width: cutWidth)
      }
    }
    return .central(width: width, height: height, aspectRatio: aspectRatio)
  }

  /// torchvision's ColorJitter: the four in random order.
  fileprivate mutating func jitter(_ settings: ViewSettings) -> [PictureOperation] {
    func around(_ strength: Double) -> ClosedRange<Double> { max(0, 1 - strength)...1 + strength }
    var operations: [PictureOperation] = [
      .brightness(factor: number(in: around(settings.brightness))),
      .contrast(factor: number(in: around(settings.contrast))),
      .saturation(factor: number(in: around(settings.saturation))),
      .hue(shift: number(in: -settings.hue...settings.hue)),
    ]
    for last in stride(from: 3, to: 0, by: -1) { operations.swapAt(last, index(below: last + 1)) }
    return operations
  }
}

extension Region {
  /// The largest region at the centre of a picture whose width over height is in `aspectRatio`.
  static func central(width: Int, height: Int, aspectRatio: ClosedRange<Double>) -> Region {
    let ratio = Double(width) / Double(height)
    var (cutWidth, cutHeight) = (width, height)
    if ratio < aspectRatio.lowerBound {
      cutHeight = Int((Double(width) / aspectRatio.lowerBound).rounded(.toNearestOrEven))
    } else if ratio > aspectRatio.upperBound {
      cutWidth = Int((Double(height) * aspectRatio.upperBound).rounded(.toNearestOrEven))
    }
    (cutWidth, cutHeight) = (max(1, min(cutWidth, width)), max(1, min(cutHeight, height)))
    return Region(top: (height - cutHeight) / 2, left: (width - cutWidth) / 2, height: cutHeight, width: cutWidth)
  }
}
