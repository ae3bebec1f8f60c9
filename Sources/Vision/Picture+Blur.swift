// Gaussian blur as Pillow has it: three box passes along rows, then three along columns, 8 bits after each.

/// What a blur needs beside the picture; grows to the largest seen.
struct BlurScratch: Sendable {
  /// A row with its ends repeated.
  var padded: [UInt8] = []
  var other: [UInt8] = []
}

extension Picture {
  /// - Parameter sigma: standard deviation in pixels, at least 0.
  mutating func blur(sigma: Double, scratch: inout BlurScratch) {
    let box = BlurBox(sigma: Float(sigma))
    guard box.radius > 0 || box.edgeWeight > 0 else { return }
    scratch.other.fit(pixels.count)
    for _ in 0..<BlurBox.passes { blurRows(box, &scratch.padded) }
    for _ in 0..<BlurBox.passes {
      blurColumns(box, into: &scratch.other)
      swap(&pixels, &scratch.other)
    }
  }

  private mutating func blurRows(_ box: BlurBox, _ padded: inout [UInt8]) {
    let margin = (box.radius + 1) * 3
    let (width, height) = (width * 3, height)
    padded.grow(to: width + 2 * margin, filling: 0)
    pixels.withUnsafeMutableBufferPointer { pixels in
      padded.withUnsafeMutableBufferPointer { padded in
        for y in 0..<height {
          let row = UnsafeMutableBufferPointer(rebasing: pixels[y * width..<(y + 1) * width])
          for i in 0..<margin {
            padded[i] = row[i % 3]
            padded[margin + width + i] = row[width - 3 + i % 3]
          }
          padded.baseAddress!.advanced(by: margin).update(from: row.baseAddress!, count: width)
          if box.radius == 0 {
            for i in 0..<width { row[i] = box.level(UInt32(padded[i + 3]), UInt32(padded[i]) &+ UInt32(padded[i + 6])) }
          } else if box.radius == 1 {
            for i in 0..<width {
              let inner = UInt32(padded[i + 3]) &+ UInt32(padded[i + 6]) &+ UInt32(padded[i + 9])
              row[i] = box.level(inner, UInt32(padded[i]) &+ UInt32(padded[i + 12]))
            }
          } else {
            for i in 0..<width {
              var inner: UInt32 = 0
              for tap in 1...2 * box.radius + 1 { inner &+= UInt32(padded[i + tap * 3]) }
              row[i] = box.level(inner, UInt32(padded[i]) &+ UInt32(padded[i + 2 * margin]))
            }
          }
        }
      }
    }
  }

  private func blurColumns(_ box: BlurBox, into result: inout [UInt8]) {
    let (width, height, radius) = (width * 3, height, box.radius)
    pixels.withUnsafeBufferPointer { pixels in
      result.withUnsafeMutableBufferPointer { result in
        func row(_ y: Int) -> UnsafePointer<UInt8> { pixels.baseAddress! + max(0, min(height - 1, y)) * width }
        for y in 0..<height {
          let target = result.baseAddress! + y * width
          let (above, below) = (row(y - radius - 1), row(y + radius + 1))
          let here = row(y)
          if radius == 0 {
            for i in 0..<width { target[i] = box.level(UInt32(here[i]), UInt32(above[i]) &+ UInt32(below[i])) }
          } else if radius == 1 {
            let (before, after) = (row(y - 1), row(y + 1))
            for i in 0..<width {
              let inner = UInt32(before[i]) &+ UInt32(here[i]) &+ UInt32(after[i])
              target[i] = box.level(inner, UInt32(above[i]) &+ UInt32(below[i]))
            }
          } else {
            for i in 0..<width {
              var inner: UInt32 = 0
              for tap in -radius...radius { inner &+= UInt32(row(y + tap)[i]) }
              target[i] = box.level(inner, UInt32(above[i]) &+ UInt32(below[i]))
            }
          }
        }
      }
    }
  }
}

/// A box with soft edges: `2 * radius + 1` whole pixels and a part of one more on each side.
struct BlurBox: Equatable {
  static let passes = 3

  let radius: Int
  /// Weights in 1 / 2^24: of each whole pixel, and of the two at the edges.
  let weight: UInt32
  let edgeWeight: UInt32

  /// The box that, applied `passes` times, has the deviation `sigma`.
  /// Source: Gwosdek et al., "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering", 2011.
  init(sigma: Float) {
    let variance = sigma * sigma / Float(Self.passes)
    let length = Float((12 * Double(variance) + 1).squareRoot())
    let whole = Float(((Double(length) - 1) / 2).rounded(.down))
    var part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    part /= 6 * (variance - (whole + 1) * (whole + 1))
    let softRadius = whole + part
    radius = Int(softRadius)
    weight = UInt32(Float(1 << 24) / (softRadius * 2 + 1))
    edgeWeight = ((1 << 24) &- UInt32(radius * 2 + 1) &* weight) / 2
  }

  @inline(__always)
  func level(_ inner: UInt32, _ edges: UInt32) -> UInt8 {
    UInt8(truncatingIfNeeded: (inner &* weight &+ edges &* edgeWeight &+ (1 << 23)) >> 24)
  }
}
