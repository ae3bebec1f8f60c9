import Durability
import Glibc
import Numerics

/// A labelled data set made on the spot: grey textures, told apart by the direction and the size of their grain.
///
/// A class is a direction (upright, level, slanting, none) at a grain (fine, coarse, ...). Slanting left and right are
/// one class, for views are flipped; grains are more than an octave apart, for views are scaled. Everything else about
/// a picture is chance and says nothing of its class: where the waves lie, contrast, brightness, a smooth shading,
/// noise. So neither colours nor pixels in place tell the class: it takes seeing.
///
/// What a picture has of its own and its views keep is what a network learns first, class or not. So brightness,
/// contrast and shading vary no more between pictures than between the views of one, and noise is alike in all; where
/// the waves lie differs from view to view as from picture to picture. The class is what is left to learn.
///
/// Picture i is a pure function of the settings and i. It is of class i mod classes.
public struct Synthesis: Sendable {
  public struct Settings: Equatable, Sendable {
    /// Pictures in all; every fifth round of the classes is for testing.
    public var images: Int
    /// 2...12: the four directions at the first grain, then at the next.
    public var classes = 8
    /// Side of a picture in pixels, 16...4096.
    public var size = 64
    public var seed: UInt64 = 0
    /// Deviation of the texture's levels.
    public var contrast = 32.0...44.0
    /// Mean level of a picture.
    public var brightness = 118.0...138.0
    /// Largest deviation of the shading's levels.
    public var shading = 6.0
    /// Deviation of each pixel's noise, in levels.
    public var noise = 5.0

    /// How far a wave's direction strays from its class's, in turns; the slanting ones lie 0.125 from their neighbours.
    public var directionSpread = 0.05
    /// How far a wave's frequency strays from its grain's, as a share.
    public var frequencySpread = 0.25
    /// Pixels from crest to crest as shares of the side, finest first; nil: two grains, or three for over 8 classes.
    public var grains: [Double]?

    public init(images: Int) { self.images = images }
  }

  public let settings: Settings
  /// Pixels from crest to crest, finest first.
  private let wavelengths: [Double]

  /// - Throws: `VisionError.impossible` for what is out of range.
  public init(_ settings: Settings) throws(VisionError) {
    guard settings.images >= 1 else {
      throw .impossible(setting: "images", value: settings.images, allowed: "at least 1")
    }
    guard 2...12 ~= settings.classes else {
      throw .impossible(setting: "classes", value: settings.classes, allowed: "2 to 12")
    }
    guard 16...4096 ~= settings.size else {
      throw .impossible(setting: "size", value: settings.size, allowed: "16 to 4096")
    }
    self.settings = settings
    // Coarse enough to be lost in no global view of half the side, fine enough to show in every local view.
    let grains = settings.grains ?? (settings.classes > 8 ? [0.07, 0.16, 0.37] : [0.078, 0.172])
    guard 2...3 ~= grains.count, settings.classes <= grains.count * Direction.allCases.count else {
      throw .impossible(setting: "number of grains", value: grains.count, allowed: "2, or 3 for over 8 classes")
    }
    wavelengths = grains.map { $0 * Double(settings.size) }
  }

  public func label(_ index: Int) -> Int { index % settings.classes }

  public func isForTesting(_ index: Int) -> Bool { index / settings.classes % 5 == 4 }

  /// "fine-level": also the name of the class's folder.
  public func className(_ label: Int) -> String {
    let grains = wavelengths.count == 2 ? ["fine", "coarse"] : ["fine", "medium", "coarse"]
    return "\(grains[label / Direction.allCases.count])-\(Direction.allCases[label % Direction.allCases.count])"
  }

  /// Where picture `index` goes: "train/fine-level/000002.jpg".
  public func path(_ index: Int) -> String {
    let digits = String(index)
    let name = String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    return "\(isForTesting(index) ? "test" : "train")/\(className(label(index)))/\(name).jpg"
  }

  public func jpeg(_ index: Int) -> [UInt8] {
    encodeJPEG(levels(index), width: settings.size, height: settings.size, channels: 1, quality: 92)
  }
}

// MARK: - Pictures

extension Synthesis {
  private enum Direction: CaseIterable {
    case upright, level, slanting, none

    /// Angle of the waves' travel in turns: across the grain.
    func turns(_ random: inout Draws, spread: Double, slantsRight: Bool) -> Double {
      let spread = random.number(in: -spread...spread)
      return switch self {
      case .upright: spread
      case .level: 0.25 + spread
      case .slanting: (slantsRight ? 0.125 : 0.375) + spread
      case .none: random.unit()
      }
    }
  }

  /// Waves that make up a texture: enough for it to look like a field, not like a pattern.
  private static let waves = 20

  /// The picture's levels, `[size, size]`.
  func levels(_ index: Int) -> [UInt8] {
    let size = settings.size
    var random = Draws(RandomKey(seed: settings.seed, purpose: .synthesis, image: UInt64(index)))
    let (direction, wavelength) = (
      Direction.allCases[label(index) % Direction.allCases.count],
      wavelengths[label(index) / Direction.allCases.count]
    )
    let contrast = random.number(in: settings.contrast)
    let brightness = random.number(in: settings.brightness)
    let shading = random.number(in: 0...settings.shading)
    let noise = Float(settings.noise)
    let slantsRight = random.happens(0.5)
    var field = [Float](repeating: Float(brightness), count: size * size)
    for _ in 0..<Self.waves {
      let turns = direction.turns(&random, spread: settings.directionSpread, slantsRight: slantsRight)
      let frequency = random.number(in: 1 - settings.frequencySpread...1 + settings.frequencySpread) / wavelength
      addWave(
        to: &field, turns: turns, frequency: frequency, phase: random.unit(),
        amplitude: contrast * (2 / Double(Self.waves)).squareRoot())
    }
    for _ in 0..<2 {
      addWave(
        to: &field, turns: random.unit(), frequency: random.number(in: 0.3...0.9) / Double(size),
        phase: random.unit(), amplitude: shading)
    }
    return field.map { value in
      // Four bytes added up are nearly Gaussian, with deviation 147.8.
      let bits = random.bits()
      let sum = (bits & 0xFF) + (bits >> 8 & 0xFF) + (bits >> 16 & 0xFF) + bits >> 24
      let level = value + noise * (Float(sum) - 510) / 147.8
      return UInt8(max(0, min(255, level.rounded())))
    }
  }

  /// field[y, x] += amplitude * cos(2 pi (frequency * (x cos a + y sin a) + phase)), a row at a time.
  private func addWave(
    to field: inout [Float], turns: Double, frequency: Double, phase: Double, amplitude: Double
  ) {
    let size = settings.size
    let (across, down) = cosineAndSine(turns: turns)
    // cos(u + v) = cos u cos v - sin u sin v, with u of the column and v of the row.
    let columns = (0..<size).map { cosineAndSine(turns: frequency * across * Double($0)) }
    let (cosines, sines) = (columns.map { Float($0.cosine) }, columns.map { Float($0.sine) })
    field.withUnsafeMutableBufferPointer { field in
      for y in 0..<size {
        let row = cosineAndSine(turns: frequency * down * Double(y) + phase)
        let (cosine, sine) = (Float(amplitude * row.cosine), Float(amplitude * row.sine))
        for x in 0..<size { field[y * size + x] += cosine * cosines[x] - sine * sines[x] }
      }
    }
  }
}

// MARK: - Files

extension Synthesis {
  /// Writes train/CLASS/NUMBER.jpg and test/CLASS/NUMBER.jpg under `directory`, which is made if it is not there.
  /// - Throws: `VisionError.notEmpty` if there is anything in it; `.notWritable`.
  public func write(to directory: String) throws(VisionError) {
    if let names = try? FileStorage().list(directory), !names.isEmpty { throw .notEmpty(path: directory) }
    try makeFolder(directory)
    for part in ["train", "test"] {
      try makeFolder("\(directory)/\(part)")
      for label in 0..<settings.classes { try makeFolder("\(directory)/\(part)/\(className(label))") }
    }
    for index in 0..<settings.images { try writeFile("\(directory)/\(path(index))", jpeg(index)) }
  }
}

private func makeFolder(_ path: String) throws(VisionError) {
  if mkdir(path, 0o777) != 0 && errno != EEXIST { throw .notWritable(path: path, reason: errnoText()) }
}
