import Glibc

/// Pictures cut in square patches, so that a convolution with as large a stride becomes one product.

/// Copies each picture's patches to rows, row by row of the picture, behind rows of zeros for the tokens before them.
///
/// - Parameters:
///   - pixels: `[images, 3 * side * side]`, channels first.
///   - side: of the pictures, a multiple of `patch`.
///   - patch: side of a patch.
///   - leading: rows of zeros of each picture, > 0.
///   - patches: `[images * (leading + (side / patch)^2), 3 * patch * patch]`, overwritten; within a row channels first.
public func extractPatches(_ pixels: Matrix, side: Int, patch: Int, behind leading: Int, into patches: Factor) {
  let across = side / patch
  invariant(patch > 0 && across * patch == side && pixels.columns == 3 * side * side)
  invariant(
    leading > 0 && patches.rows == pixels.rows * (leading + across * across) && patches.columns == 3 * patch * patch)
  var row = 0
  for image in 0..<pixels.rows {
    let picture = pixels.base + image * pixels.stride
    for _ in 0..<leading {
      switch patches.precision {
      case .fp32: patches.floats(row).update(repeating: 0, count: patches.columns)
      case .bf16: memset(patches.halves(row).base, 0, 2 * patches.columns)
      }
      row += 1
    }
    for y in 0..<across {
      for x in 0..<across {
        let corner = picture + y * patch * side + x * patch
        switch patches.precision {
        case .fp32: copyPatch(corner, side: side, patch: patch) { patches.floats(row) + $0 }
        case .bf16: copyPatch(corner, side: side, patch: patch) { patches.halves(row) + $0 }
        }
        row += 1
      }
    }
  }
}

/// - Parameters:
///   - corner: the patch's first pixel, in a picture's first channel.
///   - place: of the patch's n-th float.
@inline(__always)
private func copyPatch<Place: LanePlace>(
  _ corner: UnsafeMutablePointer<Float>, side: Int, patch: Int, to place: (Int) -> Place
) {
  for channel in 0..<3 {
    for line in 0..<patch {
      let (from, to) = (corner + (channel * side + line) * side, place((channel * patch + line) * patch))
      var i = 0
      while i + laneCount <= patch {
        to.store(from.lanes(at: i), at: i)
        i += laneCount
      }
      if i < patch { to.store(from.lanes(at: i), at: i, first: patch - i) }
    }
  }
}
