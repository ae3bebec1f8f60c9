/// Pictures cut in square patches, so that a convolution with as large a stride becomes one product.

/// Copies each picture's patches to rows, row by row of the picture, behind one row of zeros for the class token.
///
/// - Parameters:
///   - pixels: `[images, 3 * side * side]`, channels first.
///   - side: of the pictures, a multiple of `patch`.
///   - patch: side of a patch.
///   - patches: `[images * (1 + (side / patch)^2), 3 * patch * patch]`, overwritten; within a row channels first.
public func extractPatches(_ pixels: Matrix, side: Int, patch: Int, into patches: Matrix) {
  let across = side / patch
  invariant(patch > 0 && across * patch == side && pixels.columns == 3 * side * side)
  invariant(patches.rows == pixels.rows * (1 + across * across) && patches.columns == 3 * patch * patch)
  var to = patches.base
  for image in 0..<pixels.rows {
    let picture = pixels.base + image * pixels.stride
    to.update(repeating: 0, count: patches.columns)
    to += patches.stride
    for y in 0..<across {
      for x in 0..<across {
        for channel in 0..<3 {
          for line in 0..<patch {
            (to + (channel * patch + line) * patch)
              .update(from: picture + (channel * side + y * patch + line) * side + x * patch, count: patch)
          }
        }
        to += patches.stride
      }
    }
  }
}
