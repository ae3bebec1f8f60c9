/// An RGB picture of 8 bits a channel, in memory.
///
/// The operations on it are Pillow's, to the level: every trained network of the field has seen Pillow's pixels, and
/// the golden cases hold us to them. All of them are integer arithmetic, or float arithmetic without libm, so the same
/// bytes come out on every machine.
public struct Picture: Equatable, Sendable {
  /// Pixels in a row, at least 1.
  public internal(set) var width: Int
  /// Rows, at least 1.
  public internal(set) var height: Int
  /// `height * width * 3` bytes: red, green, blue, row by row from the top.
  public internal(set) var pixels: [UInt8]

  /// More pixels than this are refused before anything is allocated for them.
  public static let defaultPixelLimit = 100_000_000

  /// - Precondition: `pixels` holds `height * width * 3` bytes, and at least one pixel.
  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0 && pixels.count == width * height * 3, "\(width) x \(height) pixels")
    self.width = width
    self.height = height
    self.pixels = pixels
  }
}

/// A rectangle of a picture, in pixels.
public struct Region: Equatable, Sendable {
  public var top: Int
  public var left: Int
  public var height: Int
  public var width: Int

  public init(top: Int, left: Int, height: Int, width: Int) {
    self.top = top
    self.left = left
    self.height = height
    self.width = width
  }
}

// MARK: - Operations

/// What can be done to a picture in place, each as torchvision does it to a PIL image.
public enum PictureOperation: Equatable, Sendable {
  /// Left becomes right.
  case flip
  /// Factors are at least 0; 1 leaves the picture as it is.
  case brightness(factor: Double)
  case contrast(factor: Double)
  case saturation(factor: Double)
  /// -0.5...0.5 of the colour wheel.
  case hue(shift: Double)
  /// Three equal channels.
  case grayscale
  /// Inverts levels from the threshold on.
  case solarize(threshold: Int)
  /// Standard deviation in pixels; Pillow's three box passes.
  case blur(sigma: Double)
}

extension Picture {
  public mutating func apply(_ operation: PictureOperation) {
    var scratch = BlurScratch()
    apply(operation, scratch: &scratch)
  }

  mutating func apply(_ operation: PictureOperation, scratch: inout BlurScratch) {
    switch operation {
    case .flip: flip()
    case .brightness(let factor): adjustBrightness(by: factor)
    case .contrast(let factor): adjustContrast(by: factor)
    case .saturation(let factor): adjustSaturation(by: factor)
    case .hue(let shift): shiftHue(by: shift)
    case .grayscale: turnGray()
    case .solarize(let threshold): solarize(from: threshold)
    case .blur(let sigma): blur(sigma: sigma, scratch: &scratch)
    }
  }

  mutating func flip() {
    let (width, height) = (width, height)
    pixels.withUnsafeMutableBufferPointer { pixels in
      for y in 0..<height {
        var left = y * width * 3
        var right = left + (width - 1) * 3
        while left < right {
          for channel in 0..<3 {
            (pixels[left + channel], pixels[right + channel]) = (pixels[right + channel], pixels[left + channel])
          }
          left += 3
          right -= 3
        }
      }
    }
  }
}
