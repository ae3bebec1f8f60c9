import Vision

/// A rectangle's pixels, row by row.
func pixels(in region: Region, of picture: Picture) -> [UInt8] {
  var cut: [UInt8] = []
  for y in region.top..<region.top + region.height {
    let start = 3 * (y * picture.width + region.left)
    let end = start + 3 * region.width
    cut += picture.pixels[start..<end]
  }
  return cut
}
