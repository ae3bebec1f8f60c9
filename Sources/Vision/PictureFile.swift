import Glibc

extension Picture {
  /// Decodes a picture's file for what it is, whatever its name says: JPEG, PNG or WebP.
  /// - Parameters:
  ///   - upright: turns it as its EXIF data say that the camera was held; else pixels stay where the file has them.
  ///   - pixelLimit: a header that claims more pixels is refused before they are allocated.
  /// - Throws: `VisionError.undecodable`, and nothing else, whatever the bytes are.
  public init(
    file bytes: [UInt8], upright: Bool = false, pixelLimit: Int = Picture.defaultPixelLimit
  ) throws(VisionError) {
    if bytes.starts(with: Self.pngSignature) {
      try self.init(png: bytes, pixelLimit: pixelLimit)
    } else if Self.isWebP(bytes) {
      try self.init(webP: bytes, pixelLimit: pixelLimit)
    } else {
      try self.init(jpeg: bytes, pixelLimit: pixelLimit)
    }
    if upright { turn(PictureOrientation(ofFile: bytes)) }
  }

  /// Reads and decodes a file that somebody named.
  /// - Throws: `VisionError.unreadable`, `.noResources` if it cannot be read; `.undecodable` if it is no picture.
  public init(at path: String, upright: Bool = false) throws(VisionError) {
    var status = stat()
    guard stat(path, &status) == 0 else { throw Vision.unreadable(path) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .unreadable(path: path, reason: "it is no file") }
    let bytes = try readFile(Array(path.utf8), size: Int(status.st_size), atMost: DataSet.pictureBytesAtMost)
    try self.init(file: bytes, upright: upright)
  }
}

extension Resampler {
  /// The largest square in the middle of a picture, resized: what a network is shown that is not to be trained.
  /// - Parameter side: in pixels, at least 1.
  public mutating func square(of picture: Picture, side: Int) -> Picture {
    let square = min(picture.width, picture.height)
    let region = Region(
      top: (picture.height - square) / 2, left: (picture.width - square) / 2, height: square, width: square)
    return resize(region, of: picture, to: side)
  }
}

/// Whether there is a folder at a path, or a link to one.
public func isFolder(_ path: String) -> Bool {
  var status = stat()
  return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}
