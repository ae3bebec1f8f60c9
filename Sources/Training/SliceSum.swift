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
  public var slices: SliceRange
  /// `[parameters]`, already divided by the global batch, so that slices add up to the step's gradient.
  public let gradient: FloatBuffer
  /// `[slices.count * tail floats]`, in slice order.
  public let tail: FloatBuffer
  /// One a slice, in slice order.
  public var losses: [SliceLoss]
  /// `SlotMarks` of the memory rows that were nearest to a teacher view in their block.
  public var chosen: [UInt8]
  public var undecodable: [UndecodablePicture]

  public init(
    slices: SliceRange, gradient: FloatBuffer, tail: FloatBuffer, losses: [SliceLoss], chosen: [UInt8],
    undecodable: [UndecodablePicture]
  ) {
    invariant(losses.count == slices.count, "one loss a slice")
    invariant(tail.count % slices.count == 0, "one tail a slice")
    self.slices = slices
    self.gradient = gradient
    self.tail = tail
    self.losses = losses
    self.chosen = chosen
    self.undecodable = undecodable
  }

  /// Floats that the payload has on the wire.
  public var payloadCount: Int { gradient.count + tail.count }

  /// Names the whole payload: the digest of its two parts' digests.
  public var payloadDigest: Digest {
    Digest(of: "\(gradient.digest)\(tail.digest)".utf8)
  }

  /// Left plus right, in left's gradient buffer: `left` must not be used again.
  public static func adding(_ left: SliceSum, _ right: SliceSum) -> SliceSum {
    invariant(left.slices.indices.upperBound == right.slices.first, "neighbours, in order")
    addScaled(right.gradient.vector, by: 1, to: left.gradient.vector)
    let tail = FloatBuffer(count: left.tail.count + right.tail.count)
    copy(left.tail.vector, into: tail.vector(at: 0, count: left.tail.count))
    copy(right.tail.vector, into: tail.vector(at: left.tail.count, count: right.tail.count))
    return SliceSum(
      slices: SliceRange(first: left.slices.first, count: left.slices.count + right.slices.count),
      gradient: left.gradient, tail: tail, losses: left.losses + right.losses,
      chosen: zip(left.chosen, right.chosen).map { $0 | $1 },
      undecodable: left.undecodable + right.undecodable)
  }
}
