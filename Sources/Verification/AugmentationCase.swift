import Checkpoints
import Numerics
import Vision

/// Replays picture operations, in levels of 255; Pillow is the reference.
enum AugmentationCase {
  static func replay(_ fields: CaseFields, _ tensors: SafetensorsFile) throws -> [GoldenCase.Comparison] {
    try fields.objects("cases").flatMap { try replayOne($0, tensors) }
  }

  private static func replayOne(
    _ one: CaseFields, _ tensors: SafetensorsFile
  ) throws -> [GoldenCase.Comparison] {
    let name = try one.text("name")
    let operation = try one.text("op")
    var picture = try source(one, tensors, isJPEG: operation == "jpeg_crop_resize")
    switch operation {
    case "crop_resize", "jpeg_crop_resize", "chain": picture = try cropped(picture, one)
    default: picture.apply(try self.operation(operation, one, argument: nil))
    }
    if operation == "chain" { return try [chain(picture, one, theirs: tensors.floats(of: name))] }
    let theirs = try tensors.bytes(of: name)
    let differences = zip(picture.pixels, theirs).map { abs(Int($0) - Int($1)) }
    let isWhole = picture.pixels.count == theirs.count
    let mean = isWhole ? Double(differences.reduce(0, +)) / Double(max(differences.count, 1)) : .infinity
    let (meanBound, largestBound) =
      switch operation {
      case "blur": (1.5, 24.0)
      case "jpeg_crop_resize": (1.0, 16.0)
      default: (1.0, 12.0)
      }
    return [
      GoldenCase.Comparison(quantity: "\(name) mean", difference: mean, bound: meanBound),
      GoldenCase.Comparison(
        quantity: "\(name) largest", difference: isWhole ? Double(differences.max() ?? 0) : .infinity,
        bound: largestBound),
    ]
  }

  private static func source(_ one: CaseFields, _ tensors: SafetensorsFile, isJPEG: Bool) throws -> Picture {
    let name = try one.text("source")
    let bytes = try tensors.bytes(of: name)
    if isJPEG { return try Picture(jpeg: bytes) }
    let shape = try tensors.tensor(name).shape
    guard shape.count == 3, shape[2] == 3, shape[0] > 0, shape[1] > 0 else {
      throw VerificationError.notACase(one.path, problem: "the picture '\(name)' is not [height, width, 3]")
    }
    return Picture(width: shape[1], height: shape[0], pixels: bytes)
  }

  private static func cropped(_ picture: Picture, _ one: CaseFields) throws -> Picture {
    let region = Region(
      top: try one.integer("top"), left: try one.integer("left"), height: try one.integer("height"),
      width: try one.integer("width"))
    let size = try one.integer("size")
    guard region.top >= 0, region.left >= 0, region.height > 0, region.width > 0, size > 0,
      region.top + region.height <= picture.height, region.left + region.width <= picture.width
    else { throw VerificationError.notACase(one.path, problem: "a crop lies outside its picture") }
    var resampler = Resampler()
    return resampler.resize(region, of: picture, to: size)
  }

  /// - Parameter argument: the operation's number, where it does not stand in a field of its own.
  private static func operation(
    _ name: String, _ one: CaseFields, argument: Double?
  ) throws -> PictureOperation {
    func number(_ key: String) throws -> Double { try argument ?? one.number(key) }
    switch name {
    case "flip": return .flip
    case "brightness": return .brightness(factor: try number("factor"))
    case "contrast": return .contrast(factor: try number("factor"))
    case "saturation": return .saturation(factor: try number("factor"))
    case "hue": return .hue(shift: try number("shift"))
    case "grayscale": return .grayscale
    case "solarize": return .solarize(threshold: Int(try number("threshold")))
    case "blur": return .blur(sigma: try number("sigma"))
    default: throw VerificationError.notACase(one.path, problem: "the operation '\(name)' is not known")
    }
  }

  private static func chain(
    _ cropped: Picture, _ one: CaseFields, theirs: [Float]
  ) throws -> GoldenCase.Comparison {
    var picture = cropped
    for step in try one.texts("order") where step != "normalize" {
      let words = step.split(separator: " ")
      picture.apply(try operation(String(words[0]), one, argument: words.count > 1 ? Double(words[1]) : nil))
    }
    let row = FloatBuffer(count: picture.pixels.count)
    let settings = ViewSettings()
    Normalization(mean: settings.mean, deviation: settings.deviation).write(picture, into: row.vector)
    let ours = row.array
    let sum = zip(ours, theirs).reduce(0.0) { $0 + Double(($1.0 - $1.1).magnitude) }
    return GoldenCase.Comparison(
      quantity: "\(try one.text("name")) mean, normalised",
      difference: ours.count == theirs.count ? sum / Double(ours.count) : .infinity, bound: 0.05)
  }
}
