/// Images that pass the backbone together, each tile through all blocks before the next.

/// A range of the images that `forward` was given.
struct ImageTile {
  let images: Range<Int>
  /// For each residual branch, the images that compute it, counted from the tile's first.
  let kept: [[Int]]
}

/// How images are cut into tiles.
struct Tiling {
  /// Of an image.
  let tokens: Int
  /// Rows of a token matrix that a tile comes nearest to: few enough to stay in the cache from one product to the next,
  /// enough for a product to be worth its call.
  let rowsAtOnce: Int

  /// Even tiles, so that no product is left with a few rows.
  func imagesPerTile(of images: Int) -> Int {
    let tiles = max(1, (images * tokens + rowsAtOnce / 2) / rowsAtOnce)
    return (images + tiles - 1) / tiles
  }

  /// The largest tile of at most so many images.
  func largestTile(ofAtMost images: Int) -> Int { (1...images).map(imagesPerTile).max()! }

  func tiles(of images: Int, _ architecture: NetworkArchitecture, _ draw: DropPathDraw?) -> [ImageTile] {
    let perTile = imagesPerTile(of: images)
    return stride(from: 0, to: images, by: perTile).map { first in
      let range = first..<min(first + perTile, images)
      let kept = (0..<2 * architecture.depth).map { branch in
        (0..<range.count).filter { draw?.scale(branch: branch, image: first + $0) != 0 }
      }
      return ImageTile(images: range, kept: kept)
    }
  }
}
