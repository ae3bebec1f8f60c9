import Configuration
import Vision

extension ViewSettings {
  /// How a run's views are cut and coloured.
  public init(_ configuration: RunConfiguration) {
    self.init()
    globalSize = configuration.imageSize
    localSize = configuration.localSize
    localViews = configuration.localCropsNumber
    globalScale = configuration.globalCropsScale
    localScale = configuration.localCropsScale
    aspectRatio = configuration.cropAspectRatio
    flipProbability = configuration.flipProbability
    jitterProbability = configuration.colorJitterProbability
    brightness = configuration.brightness
    contrast = configuration.contrast
    saturation = configuration.saturation
    hue = configuration.hue
    grayProbability = configuration.grayscaleProbability
    firstBlurProbability = configuration.blurProbabilityView0
    secondBlurProbability = configuration.blurProbabilityView1
    localBlurProbability = configuration.blurProbabilityLocal
    blurSigma = configuration.blurSigma
    solarizeProbability = configuration.solarizeProbability
    solarizeThreshold = configuration.solarizeThreshold
    let (mean, deviation) = (configuration.normalizationMean, configuration.normalizationStd)
    self.mean = [Float(mean[0]), Float(mean[1]), Float(mean[2])]
    self.deviation = [Float(deviation[0]), Float(deviation[1]), Float(deviation[2])]
  }
}
