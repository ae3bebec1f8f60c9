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

  /// What has come of the step.
  private struct Step: Sendable {
    var results: [SliceRange: PayloadReceiver.Arrival] = [:]
    /// `[parameters]`, and since when it is added up; nil before the first deal.
    var sum: (floats: FloatBuffer, begun: ContinuousClock.Instant)?
    var expected: ExpectedSums?
    /// Chunks of the newest deal whose sum is there.
    var isHere: Set<Int> = []
  }

  private struct State: Sendable {
    var step = Step()
    var parameters: BufferPool
    /// Where a chunk is looked at before it may go to its place.
    let chunk = FloatBuffer(count: WireLimits.gradientChunkFloats)
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
    state.withLock { $0.step.results[arrival.results.slices] = arrival }
  }

  package func forget(_ node: SliceRange) { _ = state.withLock { $0.step.results.removeValue(forKey: node) } }

  /// Nothing of the step counts.
  package func startOver() { state.withLock { $0.step = Step() } }

  /// A gradient of the running step that no worker keeps; nil where there is none.
  package func gradient(of slices: SliceRange) -> FloatBuffer? { state.withLock { $0.step.results[slices]?.gradient } }

  /// The step that is complete, which is then forgotten; nil if it was not reduced.
  package func take() -> Whole? {
    state.withLock { state in
      guard let (gradient, begun) = state.step.sum else { return nil }
      var results = TreeSum<SliceResults>(tree: definition.tree)
      var traffic: [PeerID: StepTraffic] = [:]
      for (node, arrival) in state.step.results {
        results.insert(arrival.results, at: node, add: SliceResults.joining)
        traffic[arrival.peer, default: StepTraffic()] += arrival.traffic
      }
      guard let total = results.total else {
        fatalError("invariant broken: \(results.waitingNodes.count) nodes of a reduced step have not all slices")
      }
      state.step = Step()
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
      if state.step.sum == nil { state.step.sum = (state.parameters.take(), .now) }
      state.step.expected = expected
      state.step.isHere = []
    }
  }

  /// None are taken until others are expected; those that are here stay.
  package func abandon() { state.withLock { $0.step.expected = nil } }

  /// Takes a sum that a worker sent.
  package func take(_ frame: BulkFrame, ofChunk chunk: Int, deal: UInt64, from peer: PeerID) -> Taken {
    state.withLock { state in
      guard let expected = state.step.expected, expected.deal == deal, expected.chunks[peer]?.contains(chunk) == true
      else { return .refused("the sum of chunk \(chunk) is not expected of you: \(deal) is over, or it is another's") }
      // Not before: a stranger's chunk may lie past the gradient's end.
      let range = GradientChunk.floats(of: chunk, in: definition.layout.count)
      guard frame.count == range.count * MemoryLayout<Float>.stride else {
        return .refused("\(frame.count) bytes for the \(range.count) floats of chunk \(chunk)")
      }
      frame.copy(into: state.chunk, at: 0)
      return .here(keep(state.chunk, range, ofChunk: chunk, from: peer, expected, &state.step))
    }
  }

  /// Takes a sum of the coordinator's own, which is right.
  /// - Returns: nil if it is not expected any more.
  package func take(own part: FloatBuffer, ofChunk chunk: Int, deal: UInt64) -> ArrivedSum? {
    state.withLock { state in
      guard let expected = state.step.expected, expected.deal == deal else { return nil }
      let range = GradientChunk.floats(of: chunk, in: definition.layout.count)
      return keep(part, range, ofChunk: chunk, from: nil, expected, &state.step)
    }
  }

  /// - Parameters:
  ///   - part: has the chunk's floats at its beginning.
  ///   - range: where they belong.
  private func keep(
    _ part: FloatBuffer, _ range: Range<Int>, ofChunk chunk: Int, from peer: PeerID?, _ expected: ExpectedSums,
    _ step: inout Step
  ) -> ArrivedSum {
    let floats = part.vector(at: 0, count: range.count)
    let isFinite = isFinite(floats)
    // The first that can be right, unless the coordinator's own comes: no other replaces it.
    if peer == nil || isFinite && !step.isHere.contains(chunk) {
      guard let sum = step.sum else { fatalError("invariant broken: sums are expected, and there is no room for them") }
      copy(floats, into: sum.floats.vector(at: range.lowerBound, count: range.count))
      step.isHere.insert(chunk)
    }
    let hash = expected.compared.contains(chunk) ? part.withBytes(of: 0..<range.count) { ContentHash(of: $0) } : nil
    return ArrivedSum(deal: expected.deal, chunk: chunk, peer: peer, isFinite: isFinite, hash: hash)
  }
}
