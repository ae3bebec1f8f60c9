import Numerics
import Slices

/// What consecutive slices come to besides their gradient, slice by slice: nothing in it is added up.
public struct SliceResults: Sendable {
  public let slices: SliceRange
  /// `[slices.count * tail floats]`, in slice order.
  public let tail: FloatBuffer
  /// One a slice, in slice order.
  public let losses: [SliceLoss]
  /// `SlotMarks` of the memory rows that were nearest to a teacher view in their block.
  public let chosen: [UInt8]
  public let undecodable: [UndecodablePicture]

  public init(
    slices: SliceRange, tail: FloatBuffer, losses: [SliceLoss], chosen: [UInt8], undecodable: [UndecodablePicture]
  ) {
    invariant(losses.count == slices.count, "one loss a slice")
    invariant(tail.count % slices.count == 0, "one tail a slice")
    self.slices = slices
    self.tail = tail
    self.losses = losses
    self.chosen = chosen
    self.undecodable = undecodable
  }

  /// Left, then right.
  public static func joining(_ left: SliceResults, _ right: SliceResults) -> SliceResults {
    invariant(left.slices.indices.upperBound == right.slices.first, "neighbours, in order")
    let tail = FloatBuffer(count: left.tail.count + right.tail.count)
    copy(left.tail.vector, into: tail.vector(at: 0, count: left.tail.count))
    copy(right.tail.vector, into: tail.vector(at: left.tail.count, count: right.tail.count))
    return SliceResults(
      slices: SliceRange(first: left.slices.first, count: left.slices.count + right.slices.count), tail: tail,
      losses: left.losses + right.losses, chosen: zip(left.chosen, right.chosen).map { $0 | $1 },
      undecodable: left.undecodable + right.undecodable)
  }
}
