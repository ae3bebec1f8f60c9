import Numerics
import Wire

extension FloatBuffer {
  /// Some of its floats, copied into a frame that is sent in their place.
  /// - Precondition: the frame has room for them.
  func copied(_ range: Range<Int>, into frame: FloatBuffer) -> Bulk {
    copy(vector(at: range.lowerBound, count: range.count), into: frame.vector(at: 0, count: range.count))
    return .leading(frame, bytes: range.count * MemoryLayout<Float>.stride)
  }
}
