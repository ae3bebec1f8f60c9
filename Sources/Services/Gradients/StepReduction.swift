import Coordination
import Messages
import Numerics
import Slices
import Synchronization
import Training
import Wire

/// The coordinator's side of a reduced step: results without their gradients, gradients that no worker keeps, and the sums
/// of chunks as they come.
package final class StepReduction: Sendable {
  /// What a sum that came is to be answered with.
  package enum Taken: Hashable, Sendable {
    case here(ArrivedSum)
    case refused(String)
  }

  /// All of a step, for its update.
  package struct Whole: Sendable {
    package let sum: SliceSum
    /// By worker that took part.
    let traffic: [PeerID: StepTraffic]
    /// From when all slices were in.
    let seconds: Double
  }

  private struct State: Sendable {
    var results: [SliceRange: PayloadReceiver.Arrival] = [:]
    /// `[parameters]`; nil before the first deal.
    var sum: FloatBuffer?
    var expected: ExpectedSums?
    /// Chunks of the newest deal whose sum is there.
    var isHere: Set<Int> = []
    var begun: ContinuousClock.Instant?
    var parameters: BufferPool
  }

  private let definition: RunDefinition
  private let state: Mutex<State>

  package init(_ definition: RunDefinition) {
    self.definition = definition
    state = Mutex(State(parameters: BufferPool(count: definition.layout.count)))
  }
}

// MARK: - Results

extension StepReduction {
  package func accept(_ arrival: PayloadReceiver.Arrival) {
    state.withLock { $0.results[arrival.results.slices] = arrival }
  }

  package func forget(_ node: SliceRange) { _ = state.withLock { $0.results.removeValue(forKey: node) } }

  /// Nothing of the step counts.
  package func startOver() {
    state.withLock { state in
      (state.results, state.sum, state.expected, state.isHere, state.begun) = ([:], nil, nil, [], nil)
    }
  }

  /// A gradient of the running step that no worker keeps; nil where there is none.
  package func gradient(of slices: SliceRange) -> FloatBuffer? { state.withLock { $0.results[slices]?.gradient } }

  /// The step that is complete, which is then forgotten; nil if it was not reduced.
  package func take() -> Whole? {
    state.withLock { state in
      guard let gradient = state.sum, let begun = state.begun else { return nil }
      var results = TreeSum<SliceResults>(tree: definition.tree)
      for (node, arrival) in state.results { results.insert(arrival.results, at: node, add: SliceResults.joining) }
      guard let total = results.total else {
        fatalError("invariant broken: \(results.waitingNodes.count) nodes of a reduced step have not all slices")
      }
      let traffic = Dictionary(state.results.values.map { ($0.peer, $0.traffic) }) { left, right in
        var both = left
        both += right
        return both
      }
      (state.results, state.sum, state.expected, state.isHere, state.begun) = ([:], nil, nil, [], nil)
      return Whole(
        sum: SliceSum(gradient: gradient, results: total), traffic: traffic,
        seconds: (ContinuousClock.now - begun) / .seconds(1))
    }
  }
}

// MARK: - Sums

extension StepReduction {
  /// From now on these are taken, and no others.
  package func expect(_ expected: ExpectedSums) {
    state.withLock { state in
      if state.sum == nil {
        state.sum = state.parameters.take()
        state.begun = .now
      }
      state.expected = expected
      state.isHere = []
    }
  }

  /// None are taken until others are expected; those that are here stay.
  package func abandon() { state.withLock { $0.expected = nil } }

  /// Takes a sum that a worker sent.
  package func take(_ frame: BulkFrame, ofChunk chunk: Int, deal: UInt64, from peer: PeerID) -> Taken {
    state.withLock { state in
      guard let expected = state.expected, let sum = state.sum, expected.deal == deal,
        expected.chunks[peer]?.contains(chunk) == true
      else { return .refused("the sum of chunk \(chunk) is not expected of you: \(deal) is over, or it is another's") }
      // Not before: a stranger's chunk may lie past the gradient's end.
      let range = GradientChunk.floats(of: chunk, in: definition.layout.count)
      guard frame.count == range.count * MemoryLayout<Float>.stride else {
        return .refused("\(frame.count) bytes for the \(range.count) floats of chunk \(chunk)")
      }
      let part = FloatBuffer(count: range.count)
      frame.copy(into: part, at: 0)
      return .here(keep(part, range.count, chunk, from: peer, expected, sum, &state.isHere))
    }
  }

  /// Takes a sum of the coordinator's own, which is right.
  /// - Returns: nil if it is not expected any more.
  package func take(own part: FloatBuffer, count: Int, ofChunk chunk: Int, deal: UInt64) -> ArrivedSum? {
    state.withLock { state in
      guard let expected = state.expected, let sum = state.sum, expected.deal == deal else { return nil }
      return keep(part, count, chunk, from: nil, expected, sum, &state.isHere)
    }
  }

  private func keep(
    _ part: FloatBuffer, _ count: Int, _ chunk: Int, from peer: PeerID?, _ expected: ExpectedSums, _ sum: FloatBuffer,
    _ isHere: inout Set<Int>
  ) -> ArrivedSum {
    let range = GradientChunk.floats(of: chunk, in: definition.layout.count)
    let isFinite = isFinite(part.vector(at: 0, count: count))
    // The first that can be right, unless the coordinator's own comes: no other replaces it.
    if peer == nil || isFinite && !isHere.contains(chunk) {
      copy(part.vector(at: 0, count: count), into: sum.vector(at: range.lowerBound, count: count))
      isHere.insert(chunk)
    }
    let hash =
      expected.compared.contains(chunk) ? part.withBytes(of: 0..<count) { ContentHash(of: $0) } : nil
    return ArrivedSum(deal: expected.deal, chunk: chunk, peer: peer, isFinite: isFinite, hash: hash)
  }
}
