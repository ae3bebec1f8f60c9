import Coordination
import Messages
import Numerics
import Synchronization
import Training
import Wire

/// Where granted payloads arrive, chunk by chunk, until they are whole.
///
/// There is one place a granted lease, and the state machine grants few at once; what belongs to no place is refused.
final class PayloadReceiver: Sendable {
  /// A lease's payload, and who pushes it.
  struct Arrival: Sendable {
    let sum: SliceSum
    let peer: PeerID
    /// What the step's memory cost the peer.
    let rows: RowTraffic
  }

  /// What a chunk came to.
  enum Taken: Sendable {
    /// More is to come.
    case partly
    /// That was the last one; whoever is told this checks the payload, then calls `settle`.
    case whole(SliceSum, announced: Digest)
    /// It has been whole before: the answer may be lost.
    case again
    case refused(String)
  }

  private struct Place: Sendable {
    let arrival: Arrival
    let announced: Digest
    /// Floats from the payload's beginning that are here.
    var received = 0
    var isWhole = false
  }

  private struct State {
    var places: [LeaseID: Place] = [:]
    var gradients: BufferPool
  }

  private let floatsPerSlice: Int
  private let state: Mutex<State>

  init(gradientCount: Int, floatsPerSlice: Int) {
    self.floatsPerSlice = floatsPerSlice
    state = Mutex(State(gradients: BufferPool(count: gradientCount)))
  }

  /// Makes room for a lease's payload; its sizes have been checked.
  func expect(_ lease: LeaseID, from peer: PeerID, _ finished: Finished) {
    state.withLock { state in
      let sum = SliceSum(
        slices: finished.slices, gradient: state.gradients.take(),
        tail: FloatBuffer(count: finished.slices.count * floatsPerSlice), losses: finished.losses,
        chosen: finished.chosen, undecodable: finished.undecodable)
      state.places[lease] = Place(
        arrival: Arrival(sum: sum, peer: peer, rows: finished.rows), announced: finished.payload)
    }
  }

  func abandon(_ lease: LeaseID) { state.withLock { $0.places[lease] = nil } }

  /// The whole payload of an accepted lease; it is forgotten here.
  func take(_ lease: LeaseID) -> Arrival? {
    state.withLock { state in
      guard let place = state.places.removeValue(forKey: lease), place.isWhole else { return nil }
      return place.arrival
    }
  }

  /// Takes the floats of a payload from `offset` on. Chunks come in order; those that are here already are passed over,
  /// and none crosses from gradient to tail.
  func receive(_ chunk: BulkFrame, at offset: Int, of lease: LeaseID, from peer: PeerID) -> Taken {
    state.withLock { state in
      guard let place = state.places[lease], place.arrival.peer == peer else {
        return .refused("lease \(lease.number) is not expected: it was taken back, or is done")
      }
      if place.isWhole { return .again }
      let count = chunk.count / MemoryLayout<Float>.stride
      let sum = place.arrival.sum
      guard count <= sum.payloadCount, offset <= sum.payloadCount - count else {
        return .refused("floats \(offset) to \(offset + count) of a payload of \(sum.payloadCount)")
      }
      guard offset >= sum.gradient.count || offset + count <= sum.gradient.count else {
        return .refused("a chunk at \(offset) crosses from the gradient to the rows")
      }
      guard offset <= place.received else {
        return .refused("a chunk at \(offset), but those from \(place.received) on are missing: push from there")
      }
      // Sent twice, from the beginning after a broken connection for one.
      guard offset == place.received else { return .partly }
      if offset < sum.gradient.count {
        chunk.copy(into: sum.gradient, at: offset)
      } else {
        chunk.copy(into: sum.tail, at: offset - sum.gradient.count)
      }
      state.places[lease]?.received += count
      guard place.received + count == sum.payloadCount else { return .partly }
      state.places[lease]?.isWhole = true
      return .whole(sum, announced: place.announced)
    }
  }
}
