/// Crops a region and resizes it to a square, bicubic and antialiased, as Pillow does: in two passes, rounded to 8 bits
/// between them; weights are 22-bit fixed-point integers, so that no machine differs.
///
/// Rows come first, as in every Pillow; but where the height shrinks more than twice as much as the width, columns do,
/// as in Pillow 13, whose results these are to the level.
///
/// Holds the scratch memory, which grows to the largest region seen: keep one a thread.
public struct Resampler: Sendable {
  private var columnTaps = Taps()
  private var rowTaps = Taps()
  /// One row of the first pass's input, widened.
  private var line: [SIMD4<Int32>] = []
  /// What the first pass leaves: `[region height, size, 3]`, or `[size, region width, 3]`.
  private var middle: [UInt8] = []
  /// One row of the column pass's sums.
  private var sums: [Int32] = []

  public init() {}

  /// - Precondition: `region` lies within `picture` and is not empty; `size` is at least 1.
  public mutating func resize(_ region: Region, of picture: Picture, to size: Int) -> Picture {
    var result = Picture(width: size, height: size, pixels: [UInt8](repeating: 0, count: size * size * 3))
    resize(region, of: picture, to: size, into: &result)
    return result
  }

  /// As above, into `result`'s memory where that is large enough.
  mutating func resize(_ region: Region, of picture: Picture, to size: Int, into result: inout Picture) {
    precondition(region.top >= 0 && region.left >= 0 && region.height > 0 && region.width > 0 && size > 0)
    precondition(region.top + region.height <= picture.height && region.left + region.width <= picture.width)
    columnTaps.prepare(from: region.width, to: size)
    rowTaps.prepare(from: region.height, to: size)
    line.grow(to: region.width, filling: .zero)
    sums.grow(to: max(size, region.width) * 3, filling: 0)
    (result.width, result.height) = (size, size)
    result.pixels.fit(size * size * 3)
    let columnsFirst = region.height > size && region.height - size > 2 * (region.width - size)
    middle.grow(to: (columnsFirst ? size * region.width : region.height * size) * 3, filling: 0)
    let (columnTaps, rowTaps) = (columnTaps, rowTaps)
    picture.pixels.withUnsafeBufferPointer { pixels in
      let source = Rows(
        start: pixels.baseAddress! + (region.top * picture.width + region.left) * 3, stride: picture.width * 3)
      middle.withUnsafeMutableBufferPointer { middle in
        result.pixels.withUnsafeMutableBufferPointer { result in
          line.withUnsafeMutableBufferPointer { line in
            sums.withUnsafeMutableBufferPointer { sums in
              let middle = middle.baseAddress!
              let result = result.baseAddress!
              if columnsFirst {
                resizeColumns(of: source, width: region.width, rowTaps, to: size, sums: sums, into: middle)
                let between = Rows(start: middle, stride: region.width * 3)
                resizeRows(
                  of: between, width: region.width, count: size, columnTaps, to: size, line: line, into: result)
              } else {
                resizeRows(
                  of: source, width: region.width, count: region.height, columnTaps, to: size, line: line,
                  into: middle)
                let between = Rows(start: middle, stride: size * 3)
                resizeColumns(of: between, width: size, rowTaps, to: size, sums: sums, into: result)
              }
            }
          }
        }
      }
    }
  }
}

// MARK: - The two passes

/// Rows of RGB pixels, `stride` bytes apart.
private struct Rows {
  var start: UnsafePointer<UInt8>
  var stride: Int

  init(start: UnsafePointer<UInt8>, stride: Int) {
    self.start = start
    self.stride = stride
  }

  init(start: UnsafeMutablePointer<UInt8>, stride: Int) {
    self.init(start: UnsafePointer(start), stride: stride)
  }
}

/// `count` rows of `width` pixels become `count` rows of `size`.
private func resizeRows(
  of source: Rows, width: Int, count: Int, _ taps: Taps, to size: Int,
  line: UnsafeMutableBufferPointer<SIMD4<Int32>>, into result: UnsafeMutablePointer<UInt8>
) {
  taps.weights.withUnsafeBufferPointer { weights in
    taps.spans.withUnsafeBufferPointer { spans in
      var target = result
      for y in 0..<count {
        var pixel = source.start + y * source.stride
        for x in 0..<width {
          line[x] = SIMD4(Int32(pixel[0]), Int32(pixel[1]), Int32(pixel[2]), 0)
          pixel += 3
        }
        for x in 0..<size {
          let (first, count) = spans[x]
          let own = x * taps.width
          var sum = SIMD4<Int32>(repeating: Taps.half)
          for tap in 0..<count { sum &+= line[first + tap] &* weights[own + tap] }
          target[0] = Taps.level(sum.x)
          target[1] = Taps.level(sum.y)
          target[2] = Taps.level(sum.z)
          target += 3
        }
      }
    }
  }
}

/// Rows of `width` pixels become `size` rows of `width`.
private func resizeColumns(
  of source: Rows, width: Int, _ taps: Taps, to size: Int, sums: UnsafeMutableBufferPointer<Int32>,
  into result: UnsafeMutablePointer<UInt8>
) {
  let bytes = width * 3
  for y in 0..<size {
    let (first, count) = taps.spans[y]
    for i in 0..<bytes { sums[i] = Taps.half }
    for tap in 0..<count {
      let weight = taps.weights[y * taps.width + tap]
      let row = source.start + (first + tap) * source.stride
      for i in 0..<bytes { sums[i] &+= Int32(row[i]) &* weight }
    }
    let target = result + y * bytes
    for i in 0..<bytes { target[i] = Taps.level(sums[i]) }
  }
}

/// For each output position of one pass, the input positions that count and their weights.
private struct Taps: Sendable {
  /// Fixed-point bits of a weight: 32 less 8 for the level and 2 for the filter's overshoot.
  static let bits: Int32 = 22
  static let half: Int32 = 1 << (bits - 1)

  private var sizes = (from: 0, to: 0)
  /// Weights stored a position.
  private(set) var width = 0
  /// `[to, width]`.
  private(set) var weights: [Int32] = []
  private(set) var spans: [(first: Int, count: Int)] = []
  private var exact: [Double] = []

  mutating func prepare(from: Int, to: Int) {
    guard sizes != (from, to) else { return }
    sizes = (from, to)
    let scale = Double(from) / Double(to)
    let stretch = max(scale, 1)  // shrinking widens the filter: antialiasing
    let support = 2 * stretch
    width = Int(support.rounded(.up)) * 2 + 1
    weights.grow(to: to * width, filling: 0)
    exact.grow(to: width, filling: 0)
    spans.removeAll(keepingCapacity: true)
    for position in 0..<to {
      let center = (Double(position) + 0.5) * scale
      let first = max(Int(center - support + 0.5), 0)
      let count = min(Int(center + support + 0.5), from) - first
      var sum = 0.0
      for tap in 0..<count {
        exact[tap] = Self.bicubic((Double(tap + first) - center + 0.5) * (1 / stretch))
        sum += exact[tap]
      }
      for tap in 0..<count {
        let weight = (sum == 0 ? exact[tap] : exact[tap] / sum) * Double(1 << Self.bits)
        weights[position * width + tap] = Int32(weight < 0 ? weight - 0.5 : weight + 0.5)
      }
      spans.append((first, count))
    }
  }

  /// Keys' cubic with a = -0.5.
  private static func bicubic(_ offset: Double) -> Double {
    let a = -0.5
    let x = abs(offset)
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
    return 0
  }

  @inline(__always)
  static func level(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: max(0, min(255, sum >> bits)))
  }
}

extension Array {
  /// Makes the array at least `count` long.
  mutating func grow(to count: Int, filling value: Element) {
    if self.count < count { append(contentsOf: repeatElement(value, count: count - self.count)) }
  }
}

extension [UInt8] {
  /// Makes the array exactly `count` long, keeping its memory.
  mutating func fit(_ count: Int) {
    if self.count > count { removeLast(self.count - count) } else { grow(to: count, filling: 0) }
  }
}
