import Vision

/// A grid of values, as heat over a picture.
public struct HeatMap: Equatable, Sendable {
  /// At least 1.
  public let columns: Int
  public let rows: Int
  /// Row by row from the top, at least 0.
  public let values: [Float]

  public init(columns: Int, rows: Int, values: [Float]) {
    precondition(columns > 0 && rows > 0 && values.count == columns * rows, "\(values.count) values")
    self.columns = columns
    self.rows = rows
    self.values = values
  }

  /// How a picture's pixels get values from the few that there are.
  public enum Scaling: Sendable {
    /// Each pixel has its field's value: edges show where fields end.
    case nearest
    /// Linear between the middles of fields.
    case bilinear
  }

  /// A value for each pixel of a picture that the grid lies over, row by row.
  public func scaled(width: Int, height: Int, _ scaling: Scaling) -> [Float] {
    let across = Self.places(count: width, over: columns, scaling)
    let down = Self.places(count: height, over: rows, scaling)
    return down.flatMap { row in
      across.map { column in
        let above =
          values[row.first * columns + column.first] * (1 - column.share)
          + values[row.first * columns + column.second] * column.share
        let below =
          values[row.second * columns + column.first] * (1 - column.share)
          + values[row.second * columns + column.second] * column.share
        return above * (1 - row.share) + below * row.share
      }
    }
  }

  /// For each pixel: two neighbouring fields, and the second one's share.
  private static func places(
    count: Int, over fields: Int, _ scaling: Scaling
  ) -> [(first: Int, second: Int, share: Float)] {
    (0..<count).map { pixel in
      let middle = (Float(pixel) + 0.5) * Float(fields) / Float(count)
      if scaling == .nearest {
        let field = min(fields - 1, Int(middle))
        return (field, field, 0)
      }
      let place = min(max(middle - 0.5, 0), Float(fields - 1))
      let first = min(Int(place), max(0, fields - 2))
      return (first, min(first + 1, fields - 1), place - Float(first))
    }
  }

  /// The picture in grey, and over it the more colour the larger a value is beside the largest.
  public func overlaid(on picture: Picture, _ scaling: Scaling = .bilinear) -> Picture {
    let largest = max(values.max() ?? 0, .leastNormalMagnitude)
    let heat = scaled(width: picture.width, height: picture.height, scaling)
    var pixels = picture.pixels
    for (index, value) in heat.enumerated() {
      let share = min(max(value / largest, 0), 1)
      // What matters least is dark, and still seen.
      let opacity = 0.35 + 0.45 * share
      let grey = Self.luminance(picture, at: index)
      let colour = SIMD3<Float>(Colour.heat(share).channels)
      let mixed = SIMD3(repeating: grey * (1 - opacity)) + colour * opacity
      for channel in 0..<3 { pixels[3 * index + channel] = UInt8(min(max(mixed[channel], 0), 255)) }
    }
    return Picture(width: picture.width, height: picture.height, pixels: pixels)
  }

  private static func luminance(_ picture: Picture, at index: Int) -> Float {
    0.299 * Float(picture.pixels[3 * index]) + 0.587 * Float(picture.pixels[3 * index + 1])
      + 0.114 * Float(picture.pixels[3 * index + 2])
  }

  /// The smallest set of fields that has so much of the sum of all: 1 in it, 0 elsewhere.
  ///
  /// Of equal values the first count first. All fields if the sum is 0.
  /// - Parameter share: above 0, at most 1.
  /// - Source: the thresholded attention of DINO (Caron et al., ICCV 2021).
  public func mass(_ share: Float) -> HeatMap {
    let total = values.reduce(0.0) { $0 + Double($1) }
    guard total > 0 else { return HeatMap(columns: columns, rows: rows, values: values.map { _ in 1 }) }
    var chosen = [Float](repeating: 0, count: values.count)
    var sum = 0.0
    for index in values.indices.sorted(by: { (values[$1], $0) < (values[$0], $1) }) {
      if sum >= Double(share) * total { break }
      sum += Double(values[index])
      chosen[index] = 1
    }
    return HeatMap(columns: columns, rows: rows, values: chosen)
  }

  /// The picture where values are above 0, field by field; elsewhere pale.
  public func cutOut(of picture: Picture) -> Picture {
    let mask = scaled(width: picture.width, height: picture.height, .nearest)
    var pixels = picture.pixels
    for (index, value) in mask.enumerated() where value <= 0 {
      let pale = UInt8(200 + Self.luminance(picture, at: index) / 255 * 40)
      for channel in 0..<3 { pixels[3 * index + channel] = pale }
    }
    return Picture(width: picture.width, height: picture.height, pixels: pixels)
  }
}
