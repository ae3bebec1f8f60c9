/// Why a picture cannot be drawn.
public enum DrawingError: Error, Equatable, CustomStringConvertible {
  /// More pixels than a picture that massl draws may have.
  case tooLarge(width: Int, height: Int, limit: Int)
  /// libpng's own words.
  case notEncoded(reason: String)

  public var description: String {
    switch self {
    case .tooLarge(let width, let height, let limit):
      "The picture would have \(width) x \(height) pixels, and the limit is \(limit) in all. Ask for fewer, or smaller, "
        + "pictures."
    case .notEncoded(let reason):
      "libpng does not write the picture: \(reason). Ask for fewer, or smaller, pictures."
    }
  }
}
