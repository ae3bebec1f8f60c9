/// Images that pass the backbone together, each tile through all blocks before the next.

/// A range of the images that `forward` was given.
struct ImageTile {
  let images: Range<Int>
  /// By `DropPathDraw.index`: the images that compute the branch, counted from the tile's first.
  private let computing: [[Int]]

  init(_ images: Range<Int>, _ architecture: NetworkArchitecture, _ draw: DropPathDraw?) {
    self.images = images
    computing = (0..<architecture.depth).flatMap { block in
      ResidualBranch.allCases.map { branch in
        images.filter { draw?.scale(branch, ofBlock: block, image: $0) != 0 }.map { $0 - images.lowerBound }
      }
    }
  }

  /// Counted from the tile's first.
  func images(computing branch: ResidualBranch, ofBlock block: Int) -> [Int] {
    computing[DropPathDraw.index(branch, ofBlock: block)]
  }
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
      ImageTile(first..<min(first + perTile, images), architecture, draw)
    }
  }
}
