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

  /// Writes levels in the order in which a picture has them: red, green, blue, pixel by pixel.
  /// - Precondition: `levels` are whole pixels' and `row` holds as many floats.
  public func write(interleaved levels: ArraySlice<UInt8>, into row: Vector) {
    precondition(levels.count % 3 == 0 && row.count == levels.count, "\(row.count) floats for \(levels.count) levels")
    row.buffer.withMutableBytes(of: row.offset..<row.offset + row.count) { bytes in
      let floats = bytes.assumingMemoryBound(to: Float.self)
      table.withUnsafeBufferPointer { table in
        levels.withUnsafeBufferPointer { levels in
          for index in stride(from: 0, to: levels.count, by: 3) {
            floats[index] = table[Int(levels[index])]
            floats[index + 1] = table[256 + Int(levels[index + 1])]
            floats[index + 2] = table[512 + Int(levels[index + 2])]
          }
        }
      }
    }
  }

  /// The length of a picture's numbers taken as one vector.
  public func length(of levels: [UInt8]) -> Double {
    // Counted first: the sum is then the same whatever the order of the pixels.
    var counts = [Int](repeating: 0, count: 3 * 256)
    for (index, level) in levels.enumerated() { counts[index % 3 * 256 + Int(level)] += 1 }
    return zip(counts, table).reduce(0.0) { $0 + Double($1.0) * Double($1.1) * Double($1.1) }.squareRoot()
  }
}
