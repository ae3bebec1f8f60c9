import Vision

extension Picture {
  /// Every pixel as a square of so many.
  /// - Parameter factor: at least 1.
  public func enlarged(by factor: Int) -> Picture {
    precondition(factor > 0, "\(factor) times as large")
    if factor == 1 { return self }
    var enlarged: [UInt8] = []
    enlarged.reserveCapacity(pixels.count * factor * factor)
    var line: [UInt8] = []
    for y in 0..<height {
      line.removeAll(keepingCapacity: true)
      for x in 0..<width {
        let pixel = pixels[3 * (y * width + x)..<3 * (y * width + x + 1)]
        for _ in 0..<factor { line += pixel }
      }
      for _ in 0..<factor { enlarged += line }
    }
    return Picture(width: width * factor, height: height * factor, pixels: enlarged)
  }

  /// As many whole times as large as it takes for each side to have so many pixels.
  public func enlarged(toAtLeast side: Int) -> Picture {
    let shortest = min(width, height)
    return enlarged(by: max(1, (side + shortest - 1) / shortest))
  }
}

extension Picture {
  /// So small that no side has more than so many pixels: each pixel is the mean of those that it covers.
  /// - Parameter side: at least 1.
  public func shrunk(toAtMost side: Int) -> Picture {
    precondition(side > 0, "a side of \(side) pixels")
    let longest = max(width, height)
    guard longest > side else { return self }
    let (columns, rows) = (max(1, width * side / longest), max(1, height * side / longest))
    var shrunk: [UInt8] = []
    shrunk.reserveCapacity(3 * columns * rows)
    for row in 0..<rows {
      let from = row * height / rows..<max(row * height / rows + 1, (row + 1) * height / rows)
      for column in 0..<columns {
        let across = column * width / columns..<max(column * width / columns + 1, (column + 1) * width / columns)
        var sum = SIMD3<Int>.zero
        for y in from {
          for x in across {
            let start = 3 * (y * width + x)
            sum &+= SIMD3(Int(pixels[start]), Int(pixels[start + 1]), Int(pixels[start + 2]))
          }
        }
        let count = from.count * across.count
        for channel in 0..<3 { shrunk.append(UInt8((sum[channel] + count / 2) / count)) }
      }
    }
    return Picture(width: columns, height: rows, pixels: shrunk)
  }
}
