import Messages
import Numerics
import Synchronization

/// The chunks of the newest student and of its step's new rows that a worker has, for those of its peers that fetch them
/// from it.
package final class WeightsShelf: Sendable {
  private struct State: Sendable {
    /// The newest step that chunks were fetched for.
    var step = -1
    /// Empty once they were let go of.
    var chunks: [ExchangedChunk] = []
    /// One a chunk.
    var isHere: [Bool] = []
    /// Where the new rows' chunks begin.
    var firstOfRows = 0

    /// The chunk of exactly these floats; nil where there is none.
    func index(of network: Network, _ floats: Range<Int>) -> Int? {
      let index = (network == .student ? 0 : firstOfRows) + floats.lowerBound / WireLimits.weightChunkFloats
      guard chunks.indices.contains(index), chunks[index].network == network, chunks[index].range == floats else {
        return nil
      }
      return index
    }
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

  /// Chunks of this step are on their way into these buffers, which nobody writes once they are all there.
  /// - Parameter newRows: nil where they do not come so.
  package func begin(step: Int, _ student: FloatBuffer, newRows: FloatBuffer? = nil) {
    let chunks = ExchangedChunk.all(ofStudent: student, newRows: newRows)
    state.withLock {
      $0 = State(
        step: step, chunks: chunks, isHere: Array(repeating: false, count: chunks.count),
        firstOfRows: WireLimits.weightChunks(ofFloats: student.count))
    }
  }

  /// A chunk of the step is there, and will not change: by its place among all, the student's first.
  package func put(_ chunk: Int) { state.withLock { $0.isHere[chunk] = true } }

  /// Lets go of the buffers: their memory is needed for the next step's.
  package func clear() {
    state.withLock {
      $0.chunks = []
      $0.isHere = []
    }
  }

  /// - Parameters:
  ///   - offset: of the chunk's first float, and `count` its floats.
  package func chunk(of network: Network, ofStep step: Int, offset: Int, count: Int) -> Chunk {
    state.withLock { state in
      guard step >= state.step else { return .absent(reason: "the newest weights here are of step \(state.step)") }
      guard step == state.step else { return .coming }
      guard !state.chunks.isEmpty else { return .absent(reason: "the weights of step \(step) are not here") }
      guard let index = state.index(of: network, offset..<(offset + count)) else {
        return .absent(reason: "floats \(offset) to \(offset + count) are no chunk of the \(network) here")
      }
      return state.isHere[index] ? .here(state.chunks[index].buffer) : .coming
    }
  }
}
