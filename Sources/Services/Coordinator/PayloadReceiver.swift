import Coordination
import Messages
import Numerics
import Synchronization
import Training
import Wire

/// Where granted payloads arrive, chunk by chunk, until they are whole.
///
/// There is one place a granted lease, and the state machine grants few at once; what belongs to no place is refused.
package final class PayloadReceiver: Sendable {
  /// A lease's payload, and who pushes it.
  package struct Arrival: Sendable {
    package let results: SliceResults
    /// Nil where it stays with the peer.
    package let gradient: FloatBuffer?
    package let peer: PeerID
    /// What the step's memory cost the peer.
    let traffic: StepTraffic
  }

  /// What a chunk came to.
  package enum Taken: Hashable, Sendable {
    /// More is to come.
    case partly
    /// That was the last one. A payload that is not whole is forgotten.
    case ended(PushOutcome)
    /// It has been whole before: the answer may be lost.
    case again
    case refused(String)
  }

  private struct Place: Sendable {
    let arrival: Arrival
    let announced: Digest
    /// The announced one of the gradient, if that stays with the peer.
    let gradientDigest: Digest?
    /// Floats from the payload's beginning that are here, or stay with the peer.
    var received: Int
    var isWhole = false

    var outcome: PushOutcome {
      let (gradient, tail) = (arrival.gradient, arrival.results.tail)
      guard let digest = gradient?.digest ?? gradientDigest,
        SliceSum.payloadDigest(gradient: digest, tail: tail.digest) == announced
      else { return .damaged }
      return gradient.map { isFinite($0.vector) } ?? true && isFinite(tail.vector) ? .whole : .notFinite
    }
  }

  /// What a chunk came to, and the place that it filled, which is still to be judged.
  private enum Copied {
    case taken(Taken)
    case filled(Place)
  }

  private struct State {
    var places: [LeaseID: Place] = [:]
    var gradients: BufferPool
  }

  private let gradientCount: Int
  private let floatsPerSlice: Int
  private let state: Mutex<State>

  /// - Parameters:
  ///   - gradientCount: floats in a payload's gradient.
  ///   - floatsPerSlice: floats in its tail, a slice.
  package init(gradientCount: Int, floatsPerSlice: Int) {
    self.gradientCount = gradientCount
    self.floatsPerSlice = floatsPerSlice
    state = Mutex(State(gradients: BufferPool(count: gradientCount)))
  }

  /// Makes room for a lease's payload; its sizes have been checked.
  /// - Parameter keepsGradient: the gradient stays with the peer.
  package func expect(_ lease: LeaseID, from peer: PeerID, _ finished: Finished, keepsGradient: Bool = false) {
    state.withLock { state in
      let results = SliceResults(
        slices: finished.slices, tail: FloatBuffer(count: finished.slices.count * floatsPerSlice),
        losses: finished.losses, chosen: finished.chosen, undecodable: finished.undecodable)
      let gradient = keepsGradient ? nil : state.gradients.take()
      state.places[lease] = Place(
        arrival: Arrival(results: results, gradient: gradient, peer: peer, traffic: finished.traffic),
        announced: finished.payload, gradientDigest: keepsGradient ? finished.gradient?.digest : nil,
        received: keepsGradient ? gradientCount : 0)
    }
  }

  package func abandon(_ lease: LeaseID) { state.withLock { $0.places[lease] = nil } }

  /// The whole payload of an accepted lease; it is forgotten here.
  package func take(_ lease: LeaseID) -> Arrival? {
    state.withLock { state in
      guard let place = state.places.removeValue(forKey: lease), place.isWhole else { return nil }
      return place.arrival
    }
  }

  /// Takes the floats of a payload from `offset` on. Chunks come in order; those that are here already are passed over,
  /// and none crosses from gradient to tail. Called in one thread.
  package func receive(_ chunk: BulkFrame, at offset: Int, of lease: LeaseID, from peer: PeerID) -> Taken {
    switch copy(chunk, at: offset, of: lease, from: peer) {
    case .taken(let taken): return taken
    case .filled(let place):
      // Without the lock: it is read from end to end.
      let outcome = place.outcome
      state.withLock { state in
        if outcome == .whole { state.places[lease]?.isWhole = true } else { state.places[lease] = nil }
      }
      return .ended(outcome)
    }
  }

  private func copy(_ chunk: BulkFrame, at offset: Int, of lease: LeaseID, from peer: PeerID) -> Copied {
    state.withLock { state in
      guard let place = state.places[lease], place.arrival.peer == peer else {
        return .taken(.refused("lease \(lease.number) is not expected: it was taken back, or is done"))
      }
      if place.isWhole { return .taken(.again) }
      let count = chunk.count / MemoryLayout<Float>.stride
      let tail = place.arrival.results.tail
      let payloadCount = gradientCount + tail.count
      guard offset <= payloadCount - count else {
        return .taken(.refused("floats \(offset) to \(offset + count) of a payload of \(payloadCount)"))
      }
      guard offset >= gradientCount || offset + count <= gradientCount else {
        return .taken(.refused("a chunk at \(offset) crosses from the gradient to the rows"))
      }
      guard offset <= place.received else {
        return .taken(
          .refused("a chunk at \(offset), but those from \(place.received) on are missing: push from there"))
      }
      // Sent twice, from the beginning after a broken connection for one.
      guard offset == place.received else { return .taken(.partly) }
      if offset < gradientCount, let gradient = place.arrival.gradient {
        chunk.copy(into: gradient, at: offset)
      } else {
        chunk.copy(into: tail, at: offset - gradientCount)
      }
      state.places[lease]?.received += count
      return place.received + count == payloadCount ? .filled(place) : .taken(.partly)
    }
  }
}
