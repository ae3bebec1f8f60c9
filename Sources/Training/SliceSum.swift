import Numerics
import Slices

/// The results of consecutive slices, added up: what one lease is answered with.
///
/// The gradient is a sum, so it has the parameters' size however many slices it covers; what must stay apart slice by
/// slice (new memory rows, batch statistics) stands one after the other in `tail`.
///
///     payload   | gradient: parameters | tail of slice 0 | tail of slice 1 | ...
///     a tail    | rows: [sliceSize, width] | student's statistics | teacher's statistics |
public struct SliceSum: Sendable {
  /// `[parameters]`, already divided by the global batch, so that slices add up to the step's gradient.
  public let gradient: FloatBuffer
  public let results: SliceResults

  public init(gradient: FloatBuffer, results: SliceResults) {
    self.gradient = gradient
    self.results = results
  }

  public init(
    slices: SliceRange, gradient: FloatBuffer, tail: FloatBuffer, losses: [SliceLoss], chosen: [UInt8],
    undecodable: [UndecodablePicture]
  ) {
    self.init(
      gradient: gradient,
      results: SliceResults(slices: slices, tail: tail, losses: losses, chosen: chosen, undecodable: undecodable))
  }

  public var slices: SliceRange { results.slices }
  public var tail: FloatBuffer { results.tail }
  public var losses: [SliceLoss] { results.losses }
  public var chosen: [UInt8] { results.chosen }
  public var undecodable: [UndecodablePicture] { results.undecodable }

  /// Floats that the payload has on the wire.
  public var payloadCount: Int { gradient.count + tail.count }

  /// Names the whole payload: the digest of its two parts' digests.
  public var payloadDigest: Digest { Self.payloadDigest(gradient: gradient.digest, tail: tail.digest) }

  public static func payloadDigest(gradient: Digest, tail: Digest) -> Digest { Digest(of: "\(gradient)\(tail)".utf8) }

  /// Left plus right, in left's gradient buffer: `left` must not be used again.
  public static func adding(_ left: SliceSum, _ right: SliceSum) -> SliceSum {
    addScaled(right.gradient.vector, by: 1, to: left.gradient.vector)
    return SliceSum(gradient: left.gradient, results: .joining(left.results, right.results))
  }
}
