import Messages
import Numerics
import Synchronization

/// The chunks of the newest student that a worker has, for those of its peers that fetch them from it.
package final class WeightsShelf: Sendable {
  private struct State: Sendable {
    /// The newest step that chunks were fetched for.
    var step = -1
    /// Nil once it was let go of.
    var weights: FloatBuffer?
    var chunks: [Range<Int>] = []
    /// One a chunk.
    var isHere: [Bool] = []
  }

  private let state = Mutex(State())

  package init() {}

  /// What there is of a chunk.
  package enum Chunk: Sendable {
    /// All of it, in this buffer.
    case here(FloatBuffer)
    /// It is on its way, or its step is still to begin here.
    case coming
    case absent(reason: String)
  }

  /// Chunks of this step are on their way into `weights`, which nobody writes once they are all there.
  package func begin(step: Int, _ weights: FloatBuffer) {
    let chunks = BulkClient.ranges(weights.count)
    state.withLock {
      $0 = State(
        step: step, weights: weights, chunks: chunks, isHere: Array(repeating: false, count: chunks.count))
    }
  }

  /// A chunk of the step is there, and will not change.
  package func put(_ chunk: Int) { state.withLock { $0.isHere[chunk] = true } }

  /// Lets go of the weights: their memory is needed for the next step's.
  package func clear() {
    state.withLock {
      $0.weights = nil
      $0.isHere = []
    }
  }

  /// - Parameters:
  ///   - offset: of the chunk's first float, and `count` its floats.
  package func chunk(ofStep step: Int, offset: Int, count: Int) -> Chunk {
    state.withLock { state in
      guard step >= state.step else { return .absent(reason: "the newest weights here are of step \(state.step)") }
      guard step == state.step else { return .coming }
      guard let weights = state.weights else { return .absent(reason: "the weights of step \(step) are not here") }
      let chunk = offset / WireLimits.bulkFloats
      guard state.chunks.indices.contains(chunk), state.chunks[chunk] == offset..<(offset + count) else {
        return .absent(reason: "floats \(offset) to \(offset + count) are no chunk of \(weights.count)")
      }
      return state.isHere[chunk] ? .here(weights) : .coming
    }
  }
}
