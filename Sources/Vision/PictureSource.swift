/// Pictures by number, whatever the bytes are: one that does not decode, or is lost, is replaced by the next that does.
///
/// Picture i becomes picture (i + 1) mod count, and so on: a pure function of the data set and of the pictures that are
/// said to be lost, so that every machine replaces alike. Bytes that cannot be had are an error, never a reason to
/// replace.
public struct PictureSource {
  /// Pictures in the data set, at least 1.
  public let count: Int
  private let lost: Set<Int>
  private let upright: Bool
  private let pixelLimit: Int
  private let read: (Int) throws -> [UInt8]

  /// A picture that does not decode, or is lost.
  public struct Undecodable: Equatable, Sendable {
    public let index: Int
    public let reason: String
  }

  /// - Parameters:
  ///   - lost: pictures that are passed over unread.
  ///   - upright: turns pictures as their EXIF data say.
  ///   - read: gives the bytes of picture i, as the data set has them; what it throws is passed on.
  public init(
    count: Int, without lost: Set<Int> = [], upright: Bool = false, pixelLimit: Int = Picture.defaultPixelLimit,
    read: @escaping (Int) throws -> [UInt8]
  ) {
    precondition(count > 0)
    self.count = count
    self.lost = lost
    self.upright = upright
    self.pixelLimit = pixelLimit
    self.read = read
  }

  /// More than these undecodable pictures in a row are an error: 1 % of the data set, where that is more than ten.
  private var patience: Int { max(10, count / 100) }

  /// Picture `index`, or the one that stands for it, and what had to be passed over, in order.
  /// - Throws: what reading throws; `VisionError.noneDecodes` after too many in a row.
  public func picture(_ index: Int) throws -> (picture: Picture, undecodable: [Undecodable]) {
    precondition(index >= 0 && index < count)
    var passed: [Undecodable] = []
    while passed.count < min(count, patience + 1) {
      let candidate = (index + passed.count) % count
      if lost.contains(candidate) {
        passed.append(Undecodable(index: candidate, reason: "it is lost"))
        continue
      }
      let bytes = try read(candidate)
      do {
        return (try Picture(file: bytes, upright: upright, pixelLimit: pixelLimit), passed)
      } catch {
        guard case VisionError.undecodable(let reason) = error else { throw error }
        passed.append(Undecodable(index: candidate, reason: reason))
      }
    }
    throw VisionError.noneDecodes(passed)
  }
}
