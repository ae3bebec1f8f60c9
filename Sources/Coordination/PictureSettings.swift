/// A run's pictures, as a coordinator knows them from its start on.
public struct PictureSettings: Sendable {
  /// The path of a picture, for people.
  public var name: @Sendable (Int) -> String
  /// The pictures of a step's slice.
  public var ofSlice: @Sendable (_ step: Int, _ slice: Int) -> [Int]
  /// Those that are known not to decode.
  public var undecodable: Set<Int>
  /// Those that the run has lost, or will have from a later step on.
  public var lost: [LostPicture]

  public init(
    name: @escaping @Sendable (Int) -> String, ofSlice: @escaping @Sendable (_ step: Int, _ slice: Int) -> [Int],
    undecodable: Set<Int> = [], lost: [LostPicture] = []
  ) {
    self.name = name
    self.ofSlice = ofSlice
    self.undecodable = undecodable
    self.lost = lost
  }
}
