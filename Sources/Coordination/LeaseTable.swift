import Messages
import Numerics
import Slices

/// The leases that may still be answered, in the order of their numbers, hence of their issue; and how far each answer has
/// come. A result first waits for a grant, then its payload is on its way: both are queues.
struct LeaseTable: RandomAccessCollection, Sendable {
  private(set) var inOrder: [OpenLease] = []
  /// Leases ever issued: the last number.
  private(set) var issued: UInt64 = 0
  /// Finished leases that wait for a grant, first come first.
  private(set) var waiting: [LeaseID] = []
  /// Leases whose payload is on its way: at most `CoordinationLimits.gradientsInFlight` whole ones, and
  /// `CoordinationLimits.tailsInFlight` without their gradients.
  private(set) var granted: [LeaseID] = []
  /// Of what waits and is on its way, counted: with a thousand workers it is asked for at every event.
  private(set) var counts = Counts()
  /// How long payloads take from their grant to their last float, a running mean over all workers; nil before the first.
  var usualDelivery: Duration?

  struct Counts: Hashable, Sendable {
    /// Granted leases whose gradients stay with their workers.
    var tails = 0
    /// Leases that wait and name pictures that do not decode.
    var accusing = 0
  }

  var startIndex: Int { 0 }
  var endIndex: Int { inOrder.count }

  /// Payloads on their way, with their gradients or without.
  func granted(keepingGradient keeps: Bool) -> Int { keeps ? counts.tails : granted.count - counts.tails }

  /// The lease at an index, which holds until one before it is removed.
  subscript(index: Int) -> OpenLease {
    _read { yield inOrder[index] }
    _modify { yield &inOrder[index] }
  }

  /// A lease; nil once it cannot be answered any more.
  subscript(id: LeaseID) -> OpenLease? { index(of: id).map { inOrder[$0] } }

  /// - Complexity: O(log leases).
  func index(of id: LeaseID) -> Int? {
    // Numbers ascend.
    var (low, high) = (0, inOrder.count)
    while low < high {
      let middle = (low + high) / 2
      if inOrder[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low < inOrder.count && inOrder[low].id == id ? low : nil
  }
}

// MARK: - From its issue to its end

extension LeaseTable {
  /// The number that the next lease has.
  var next: LeaseID { LeaseID(issued + 1) }

  /// The number of a lease that is none of slices, and is not kept here.
  mutating func reserve() -> LeaseID {
    issued += 1
    return LeaseID(issued)
  }

  mutating func issue(_ lease: OpenLease) {
    invariant(lease.id == next, "lease \(lease.id.number) after \(issued)")
    issued += 1
    inOrder.append(lease)
  }

  /// Its result is in, and waits for a grant as the last.
  mutating func finish(at index: Int, with finished: Finished, at now: Instant) {
    invariant(inOrder[index].finished == nil, "lease \(inOrder[index].id.number) is finished twice")
    wait(at: index, with: finished, at: now)
  }

  /// Its payload may come.
  /// - Parameter keepsGradient: without the gradient.
  mutating func grant(at index: Int, keepsGradient: Bool, at now: Instant) {
    guard case .waiting(let finished, _) = inOrder[index].state else {
      fatalError("invariant broken: lease \(inOrder[index].id.number) is granted before it waits")
    }
    leaveQueue(inOrder[index])
    inOrder[index].state = .granted(finished, heard: now)
    inOrder[index].keepsGradient = keepsGradient
    inOrder[index].grantedAt = now
    inOrder[index].isArriving = false
    granted.append(inOrder[index].id)
    if keepsGradient { counts.tails += 1 }
  }

  /// Some of its payload is here, of which the first could begin to come at `begun`.
  mutating func progress(at index: Int, begun: Instant?, at now: Instant) {
    guard case .granted(let finished, _) = inOrder[index].state else { return }
    inOrder[index].state = .granted(finished, heard: now)
    inOrder[index].grantedAt = begun
    inOrder[index].isArriving = true
  }

  /// Its payload is not waited for any more: it may be granted again, after all others.
  mutating func giveUpGrant(at index: Int, at now: Instant) {
    guard case .granted(let finished, _) = inOrder[index].state else { return }
    leaveQueue(inOrder[index])
    inOrder[index].keepsGradient = false
    wait(at: index, with: finished, at: now)
  }

  mutating func remove(at index: Int) -> OpenLease {
    let lease = inOrder.remove(at: index)
    leaveQueue(lease)
    return lease
  }

  private mutating func wait(at index: Int, with finished: Finished, at now: Instant) {
    inOrder[index].state = .waiting(finished, since: now)
    waiting.append(inOrder[index].id)
    if !finished.undecodable.isEmpty { counts.accusing += 1 }
  }

  private mutating func leaveQueue(_ lease: OpenLease) {
    switch lease.state {
    case .computing: break
    case .waiting(let finished, _):
      waiting.removeAll { $0 == lease.id }
      if !finished.undecodable.isEmpty { counts.accusing -= 1 }
    case .granted:
      granted.removeAll { $0 == lease.id }
      if lease.keepsGradient { counts.tails -= 1 }
    }
  }
}

/// A lease that may still be answered.
struct OpenLease: Sendable {
  /// Results lie elsewhere: the table of leases is looked through at each event, and stays small so.
  indirect enum State: Hashable, Sendable {
    case computing
    /// Its result waits for a grant since then.
    case waiting(Finished, since: Instant)
    /// Its payload is on the way; the last of it arrived then.
    case granted(Finished, heard: Instant)
  }
  let id: LeaseID
  let peer: PeerID
  let slices: SliceRange
  let issuedAt: Instant
  /// Slices that its worker computes one after the other.
  let rounds: Int
  /// When it is overdue, and how long it then had.
  let deadline: Instant
  /// How long its worker's pace says that it takes; nil while that is not known.
  var expected: Duration?
  fileprivate(set) var state = State.computing
  /// Others may get its slices as if they were free.
  var isOverdue = false
  /// When its payload was granted, the last time; once the first of it is here, when that could begin to come.
  fileprivate(set) var grantedAt: Instant?
  /// Its payload was granted without the gradient, which stays with the worker.
  fileprivate(set) var keepsGradient = false
  /// Of that payload something has arrived.
  fileprivate(set) var isArriving = false

  init(
    _ id: LeaseID, of slices: SliceRange, to peer: PeerID, at now: Instant, rounds: Int, deadline: Instant,
    expected: Duration?, isOverdue: Bool
  ) {
    self.id = id
    self.peer = peer
    self.slices = slices
    issuedAt = now
    self.rounds = rounds
    self.deadline = deadline
    self.expected = expected
    self.isOverdue = isOverdue
  }

  var finished: Finished? {
    switch state {
    case .computing: nil
    case .waiting(let finished, _), .granted(let finished, _): finished
    }
  }

  /// Its answer is still to come, in time.
  var isLive: Bool { if case .computing = state { !isOverdue } else { false } }
  var isGranted: Bool { if case .granted = state { true } else { false } }
}
