/// How views are made of a picture; the defaults are the published recipes'.
///
/// Every number is a setting, for pictures that are small, or of another kind, need other ones.
public struct ViewSettings: Equatable, Sendable {
  /// Side of the two global views, in pixels.
  public var globalSize = 224
  public var localSize = 96
  public var localViews = 10
  /// Share of the picture's area that a view is cut from.
  public var globalScale = 0.32...1.0
  public var localScale = 0.05...0.32
  /// Width over height of what is cut, drawn evenly in its logarithm.
  public var aspectRatio = 3.0 / 4.0...4.0 / 3.0
  public var flipProbability = 0.5
  public var jitterProbability = 0.8
  /// Factors are drawn from 1 - x to 1 + x, not below 0.
  public var brightness = 0.4
  public var contrast = 0.4
  public var saturation = 0.2
  /// Drawn from -x to x of the colour wheel; at most 0.5.
  public var hue = 0.1
  public var grayProbability = 0.2
  /// Of view 0, view 1 and each local view.
  public var firstBlurProbability = 1.0
  public var secondBlurProbability = 0.1
  public var localBlurProbability = 0.5
  /// Standard deviation in pixels.
  public var blurSigma = 0.1...2.0
  /// Of view 1 alone.
  public var solarizeProbability = 0.2
  /// Levels from here on are inverted.
  public var solarizeThreshold = 128
  /// Of levels scaled to 0...1: red, green, blue.
  public var mean: SIMD3<Float> = [0.485, 0.456, 0.406]
  public var deviation: SIMD3<Float> = [0.229, 0.224, 0.225]

  public init() {}

  /// Views 0 and 1 of a picture are the global ones; the local ones follow.
  public static let globalViews = 2

  /// Side of a view, in pixels.
  public func size(ofView view: Int) -> Int { view < Self.globalViews ? globalSize : localSize }

  func blurProbability(ofView view: Int) -> Double {
    switch view {
    case 0: firstBlurProbability
    case 1: secondBlurProbability
    default: localBlurProbability
    }
  }
}
