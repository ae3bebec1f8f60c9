/// Eight floats at a time: how the kernels read, write and add them up.
///
/// Every kernel walks a row in whole `Lanes`, then deals with the `count % 8` floats that are left in a masked one.
/// The order of each sum follows from the row's length alone, never from its address.
typealias Lanes = SIMD8<Float>
typealias LaneMask = SIMDMask<SIMD8<Int32>>

/// Floats in `Lanes`.
let laneCount = 8

extension UnsafeMutablePointer<Float> {
  @inline(__always)
  func lanes(at index: Int) -> Lanes {
    UnsafeRawPointer(self + index).loadUnaligned(as: Lanes.self)
  }

  /// The `count` < 8 floats at `index`, then `filler`. Reads 32 bytes whatever `count` is: `FloatBuffer` allocates
  /// them past its end.
  @inline(__always)
  func lanes(at index: Int, first count: Int, filler: Float = 0) -> Lanes {
    Lanes(repeating: filler).replacing(with: lanes(at: index), where: firstLanes(count))
  }

  @inline(__always)
  func store(_ lanes: Lanes, at index: Int) {
    UnsafeMutableRawPointer(self + index).storeBytes(of: lanes, as: Lanes.self)
  }

  /// Stores the first `count` < 8 lanes and touches nothing else.
  @inline(__always)
  func store(_ lanes: Lanes, at index: Int, first count: Int) {
    var place = UnsafeMutableRawPointer(self + index)
    var rest = lanes.lowHalf
    if count & 4 != 0 {
      place.storeBytes(of: rest, as: SIMD4<Float>.self)
      place += 16
      rest = lanes.highHalf
    }
    var pair = rest.lowHalf
    if count & 2 != 0 {
      place.storeBytes(of: pair, as: SIMD2<Float>.self)
      place += 8
      pair = rest.highHalf
    }
    if count & 1 != 0 { place.storeBytes(of: pair.x, as: Float.self) }
  }
}

/// True in the first `count` lanes.
@inline(__always)
func firstLanes(_ count: Int) -> LaneMask {
  SIMD8<Int32>(0, 1, 2, 3, 4, 5, 6, 7) .< SIMD8<Int32>(repeating: Int32(truncatingIfNeeded: count))
}

/// The sum of all lanes, halves first: the same additions on every machine.
@inline(__always)
func sum(_ lanes: Lanes) -> Float {
  let four = lanes.lowHalf + lanes.highHalf
  let two = four.lowHalf + four.highHalf
  return two.x + two.y
}

@inline(__always)
func larger(_ a: Lanes, _ b: Lanes) -> Lanes { a.replacing(with: b, where: b .> a) }

@inline(__always)
func largest(_ lanes: Lanes) -> Float {
  let four = lanes.lowHalf.replacing(with: lanes.highHalf, where: lanes.highHalf .> lanes.lowHalf)
  let two = four.lowHalf.replacing(with: four.highHalf, where: four.highHalf .> four.lowHalf)
  return two.y > two.x ? two.y : two.x
}

/// Of `count` floats; -infinity of none.
@inline(__always)
func largest(of x: UnsafeMutablePointer<Float>, count: Int) -> Float {
  var top = Lanes(repeating: -.infinity)
  var i = 0
  while i + laneCount <= count {
    top = larger(top, x.lanes(at: i))
    i += laneCount
  }
  if i < count { top = larger(top, x.lanes(at: i, first: count - i, filler: -.infinity)) }
  return largest(top)
}
