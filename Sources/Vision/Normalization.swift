import Numerics

/// Levels to numbers: scaled to 0...1, less the mean, over the deviation, channel by channel.
public struct Normalization: Sendable {
  /// `[3, 256]`.
  private let table: [Float]

  public init(mean: SIMD3<Float>, deviation: SIMD3<Float>) {
    table = (0..<3 * 256).map { (Float($0 % 256) / 255 - mean[$0 / 256]) / deviation[$0 / 256] }
  }

  /// Writes `[3, height, width]`.
  /// - Precondition: `row` holds `3 * height * width` floats.
  public func write(_ picture: Picture, into row: Vector) {
    let area = picture.width * picture.height
    precondition(row.count == 3 * area, "\(row.count) floats for \(picture.width) x \(picture.height) pixels")
    row.buffer.withMutableBytes(of: row.offset..<row.offset + row.count) { bytes in
      let floats = bytes.assumingMemoryBound(to: Float.self)
      table.withUnsafeBufferPointer { table in
        picture.pixels.withUnsafeBufferPointer { pixels in
          for index in 0..<area {
            floats[index] = table[Int(pixels[index * 3])]
            floats[area + index] = table[256 + Int(pixels[index * 3 + 1])]
            floats[2 * area + index] = table[512 + Int(pixels[index * 3 + 2])]
          }
        }
      }
    }
  }
}
