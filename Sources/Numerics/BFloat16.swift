/// Floats to bfloat16 and back, in registers: to the nearest, to the even one of two, as the hardware and oneDNN do.
/// Processors are little-endian here: of a float's two halves the second has its sign.

/// The upper halves of eight floats, rounded. A NaN stays one.
@inline(__always)
func bfloat16(_ x: Lanes) -> SIMD8<UInt16> {
  let bits = unsafeBitCast(x, to: SIMD8<UInt32>.self)
  let rounded = bits &+ SIMD8(repeating: 0x7FFF) &+ (bits &>> 16 & SIMD8(repeating: 1))
  // Rounding could carry a NaN's fraction over into its sign.
  let quiet = bits | SIMD8(repeating: 0x40_0000)
  // Halves of registers, and not numbers made narrower: the compiler leaves those as calls.
  return unsafeBitCast(quiet.replacing(with: rounded, where: x .== x), to: SIMD16<UInt16>.self).oddHalf
}

@inline(__always)
func floats(_ halves: SIMD8<UInt16>) -> Lanes {
  var pairs = SIMD16<UInt16>.zero
  pairs.oddHalf = halves
  return unsafeBitCast(pairs, to: Lanes.self)
}

/// Where a row of values begins, eight of which are read or written at a time.
protocol LanePlace {
  func lanes(at index: Int) -> Lanes
  /// The `count` < 8 values at `index`, then `filler`; reads eight whatever `count` is.
  func lanes(at index: Int, first count: Int, filler: Float) -> Lanes
  func store(_ lanes: Lanes, at index: Int)
  /// Stores the first `count` < 8 lanes and touches nothing else.
  func store(_ lanes: Lanes, at index: Int, first count: Int)
}

extension UnsafeMutablePointer: LanePlace where Pointee == Float {}

/// Where a row of bfloat16 begins.
struct BFloat16Pointer: LanePlace {
  let base: UnsafeMutableRawPointer

  static func + (pointer: BFloat16Pointer, count: Int) -> BFloat16Pointer {
    BFloat16Pointer(base: pointer.base + 2 * count)
  }

  @inline(__always)
  func lanes(at index: Int) -> Lanes {
    floats((base + 2 * index).loadUnaligned(as: SIMD8<UInt16>.self))
  }

  @inline(__always)
  func lanes(at index: Int, first count: Int, filler: Float = 0) -> Lanes {
    Lanes(repeating: filler).replacing(with: lanes(at: index), where: firstLanes(count))
  }

  @inline(__always)
  func store(_ lanes: Lanes, at index: Int) {
    (base + 2 * index).storeBytes(of: bfloat16(lanes), as: SIMD8<UInt16>.self)
  }

  @inline(__always)
  func store(_ lanes: Lanes, at index: Int, first count: Int) {
    let halves = bfloat16(lanes)
    for lane in 0..<count { (base + 2 * (index + lane)).storeBytes(of: halves[lane], as: UInt16.self) }
  }
}
