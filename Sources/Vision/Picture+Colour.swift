// Brightness, contrast, saturation, hue, grey and solarize, as torchvision does them to a PIL image: rounding down
// where Pillow does, in Float where Pillow does.

extension Picture {
  mutating func adjustBrightness(by factor: Double) {
    map(blendTable(from: 0, by: Float(factor)))
  }

  /// Away from, or towards, the mean luma.
  mutating func adjustContrast(by factor: Double) {
    var sum = 0
    pixels.withUnsafeBufferPointer { pixels in
      for pixel in stride(from: 0, to: pixels.count, by: 3) {
        sum += Int(luma(pixels[pixel], pixels[pixel + 1], pixels[pixel + 2]))
      }
    }
    let mean = Int(Double(sum) / Double(width * height) + 0.5)
    map(blendTable(from: mean, by: Float(factor)))
  }

  /// Away from, or towards, each pixel's own luma.
  mutating func adjustSaturation(by factor: Double) {
    let factor = Float(factor)
    pixels.withUnsafeMutableBufferPointer { pixels in
      for pixel in stride(from: 0, to: pixels.count, by: 3) {
        let gray = luma(pixels[pixel], pixels[pixel + 1], pixels[pixel + 2])
        for channel in pixel..<pixel + 3 {
          pixels[channel] = blend(from: gray, to: Int32(pixels[channel]), by: factor)
        }
      }
    }
  }

  mutating func turnGray() {
    pixels.withUnsafeMutableBufferPointer { pixels in
      for pixel in stride(from: 0, to: pixels.count, by: 3) {
        let gray = UInt8(truncatingIfNeeded: luma(pixels[pixel], pixels[pixel + 1], pixels[pixel + 2]))
        (pixels[pixel], pixels[pixel + 1], pixels[pixel + 2]) = (gray, gray, gray)
      }
    }
  }

  mutating func solarize(from threshold: Int) {
    map((0..<256).map { UInt8($0 < threshold ? $0 : 255 - $0) })
  }

  private mutating func map(_ table: [UInt8]) {
    table.withUnsafeBufferPointer { table in
      pixels.withUnsafeMutableBufferPointer { pixels in
        for index in pixels.indices { pixels[index] = table[Int(pixels[index])] }
      }
    }
  }
}

/// ITU-R 601 luma, in 16-bit fixed point.
@inline(__always)
private func luma(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> Int32 {
  (Int32(red) &* 19595 &+ Int32(green) &* 38470 &+ Int32(blue) &* 7471 &+ 0x8000) >> 16
}

@inline(__always)
private func blend(from start: Int32, to end: Int32, by factor: Float) -> UInt8 {
  let value = Float(start) + factor * Float(end &- start)
  return UInt8(truncatingIfNeeded: Int32(value < 0 ? 0 : value > 255 ? 255 : value))
}

private func blendTable(from start: Int, by factor: Float) -> [UInt8] {
  (0..<256).map { blend(from: Int32(start), to: $0, by: factor) }
}

// MARK: - Hue

extension Picture {
  /// Turns the colour wheel, by way of 8-bit hue, saturation and value: the rounding on the way is Pillow's too.
  mutating func shiftHue(by shift: Double) {
    let steps = UInt8(truncatingIfNeeded: Int(shift * 255))
    let sectors = HueSector.all
    pixels.withUnsafeMutableBufferPointer { pixels in
      sectors.withUnsafeBufferPointer { sectors in
        for pixel in stride(from: 0, to: pixels.count, by: 3) {
          let (red, green, blue) = (pixels[pixel], pixels[pixel + 1], pixels[pixel + 2])
          let value = max(red, max(green, blue))
          let spread = value - min(red, min(green, blue))
          if spread == 0 { continue }  // grey has no hue
          let saturation = UInt8(Double(Float(spread) / Float(value)) * 255)
          if saturation == 0 {
            (pixels[pixel], pixels[pixel + 1], pixels[pixel + 2]) = (value, value, value)
            continue
          }
          let hue = hue(red, green, blue, value: value, spread: spread) &+ steps
          let sector = sectors[Int(hue)]
          let (wide, full) = (Float(saturation) / 255, Double(value))
          let low = rounded(full * (1 - Double(wide)))
          let falling = rounded(full * (1 - Double(wide * sector.fraction)))
          let rising = rounded(full * (1 - Double(wide) * (1 - Double(sector.fraction))))
          let rgb: (UInt8, UInt8, UInt8) =
            switch sector.index {
            case 0: (value, rising, low)
            case 1: (falling, value, low)
            case 2: (low, value, rising)
            case 3: (low, falling, value)
            case 4: (rising, low, value)
            default: (value, low, falling)
            }
          (pixels[pixel], pixels[pixel + 1], pixels[pixel + 2]) = rgb
        }
      }
    }
  }
}

/// Where on the wheel a hue of 0..<256 lies: which sixth, and how far into it.
private struct HueSector: Sendable {
  var index: Int
  var fraction: Float

  static let all: [HueSector] = (0..<256).map { hue in
    let sixths = Double(Float(hue)) * 6 / 255
    let index = Int(sixths)
    return HueSector(index: index % 6, fraction: Float(sixths - Double(Float(index))))
  }
}

@inline(__always)
private func hue(_ red: UInt8, _ green: UInt8, _ blue: UInt8, value: UInt8, spread: UInt8) -> UInt8 {
  let spread = Float(spread)
  let redGap = Float(value - red) / spread
  let greenGap = Float(value - green) / spread
  let blueGap = Float(value - blue) / spread
  let sixths: Float =
    if red == value {
      blueGap - greenGap
    } else if green == value {
      Float(2 + Double(redGap) - Double(blueGap))
    } else {
      Float(4 + Double(greenGap) - Double(redGap))
    }
  var turns = Double(sixths) / 6 + 1
  if turns >= 1 { turns -= 1 }
  return UInt8(Double(Float(turns)) * 255)
}

/// Half away from zero; `x` is in 0...255.
@inline(__always)
private func rounded(_ x: Double) -> UInt8 { UInt8(truncatingIfNeeded: Int32(x + 0.5)) }
