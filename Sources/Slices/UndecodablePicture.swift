/// A picture whose bytes do not decode, met while a slice was computed.
public struct UndecodablePicture: Hashable, Sendable {
  /// Index in the data set's order (bytes of the relative path).
  public var picture: Int
  public var reason: String
  public init(picture: Int, reason: String) {
    self.picture = picture
    self.reason = reason
  }
}
