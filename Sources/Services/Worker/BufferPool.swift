import Numerics
import Synchronization

/// Buffers of one size that are used again once nobody else holds them, so that a step allocates none.
///
/// Whoever has a buffer just lets go of it: a window, a version of the weights, a frame that libzmq still sends all count
/// as holding. Belongs to one thread, or to a lock; the buffers it gives out may go anywhere.
struct BufferPool: Sendable {
  private let count: Int
  private var buffers: [FloatBuffer] = []

  /// - Parameter count: floats in each buffer.
  init(count: Int) { self.count = count }

  /// A buffer with anything in it.
  mutating func take() -> FloatBuffer {
    for index in buffers.indices where isKnownUniquelyReferenced(&buffers[index]) {
      // What the last holder read in its thread is read before anything is written here.
      atomicMemoryFence(ordering: .acquiring)
      return buffers[index]
    }
    let buffer = FloatBuffer(count: count)
    buffers.append(buffer)
    return buffer
  }
}

/// A `BufferPool` for several threads.
final class SharedBufferPool: Sendable {
  private let pool: Mutex<BufferPool>

  /// - Parameter count: floats in each buffer.
  init(count: Int) { pool = Mutex(BufferPool(count: count)) }

  /// A buffer with anything in it.
  func take() -> FloatBuffer { pool.withLock { $0.take() } }
}
