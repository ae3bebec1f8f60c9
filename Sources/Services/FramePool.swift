import Numerics
import Synchronization

/// So many buffers of one size, and no more.
struct FramePool: Sendable {
  private let count: Int
  private let atMost: Int
  private var buffers: [FloatBuffer] = []
  private var next = 0

  /// - Parameter count: floats in each.
  init(count: Int, atMost: Int) {
    self.count = count
    self.atMost = atMost
  }

  /// A buffer that nobody else holds, with anything in it; nil while all are held.
  mutating func take() -> FloatBuffer? {
    // Frames are sent in order, so the one after the last taken is the first to be free.
    for _ in buffers.indices {
      let index = next % buffers.count
      next += 1
      if isKnownUniquelyReferenced(&buffers[index]) {
        atomicMemoryFence(ordering: .acquiring)
        return buffers[index]
      }
    }
    guard buffers.count < atMost else { return nil }
    let buffer = FloatBuffer(count: count)
    buffers.append(buffer)
    return buffer
  }
}
