import Messages
import Numerics
import Slices
import Synchronization
import Wire

extension [ContentHash] {
  /// One after the other, copied into a frame.
  func copied(into frame: FloatBuffer) -> Bulk {
    let bytes = flatMap(\.bytes)
    frame.withMutableBytes(of: 0..<(bytes.count / MemoryLayout<Float>.stride)) { $0.copyBytes(from: bytes) }
    return .leading(frame, bytes: bytes.count)
  }
}

/// The gradients of a worker's leases that others may fetch, chunk by chunk, for as long as it holds the leases.
package final class KeptGradients: Sendable {
  package struct Gradient: Sendable {
    let step: Int
    let slices: SliceRange
    /// Nobody writes it any more.
    package let floats: FloatBuffer
    /// One a chunk.
    package let hashes: [ContentHash]

    package init(step: Int, slices: SliceRange, floats: FloatBuffer, hashes: [ContentHash]) {
      self.step = step
      self.slices = slices
      self.floats = floats
      self.hashes = hashes
    }
  }

  private let gradients = Mutex<[LeaseID: Gradient]>([:])

  package init() {}

  package func put(_ gradient: Gradient, of lease: LeaseID) { gradients.withLock { $0[lease] = gradient } }

  package func forget(_ lease: LeaseID) { _ = gradients.withLock { $0.removeValue(forKey: lease) } }

  package func forgetAll() { gradients.withLock { $0 = [:] } }

  /// Nil if it is not here, or not any more.
  package func gradient(ofStep step: Int, slices: SliceRange) -> Gradient? {
    gradients.withLock { $0.values.first { $0.step == step && $0.slices == slices } }
  }
}
