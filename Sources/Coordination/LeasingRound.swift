import Messages
import Numerics
import Slices

/// What decides about every lease that is given at one moment, looked up once and not again for each idle worker: with
/// hundreds of workers most events leave most of them without anything to do.
///
/// It is handed the tables that it needs, never the coordinator: to hand that on costs a copy of all its references.
struct LeasingRound {
  /// A lease whose slices an idle worker might have sooner than its own.
  struct Slow {
    /// In the table of leases.
    let index: Int
    let odds: Odds
  }

  /// How soon a lease's slices are to be expected from its worker.
  struct Odds {
    /// Attoseconds since its issue.
    let age: Int128
    /// Attoseconds that its worker needs; nil when no pace of it is known.
    let expected: Int128?

    /// Its worker has taken half as long again as it needs.
    var isOverrun: Bool { expected.map { age * 2 > $0 * 3 } ?? false }

    /// Attoseconds that its worker still needs, by its pace; nil when no pace of it is known.
    var left: Int128? { expected.map { $0 - age } }

    /// Whether a worker that needs so many attoseconds would probably have them before; nil when that is not known.
    func areWorse(than own: Int128?) -> Bool {
      guard let left else { return age > (own.map { $0 * 2 } ?? CoordinationLimits.firstHedge.attoseconds) }
      return isOverrun || own.map { left > $0 } ?? false
    }
  }

  /// All slow leases at once: whether one of them is worse than an idle worker, without a look at each for each of those.
  private struct Worst {
    private var isOverrun = false
    /// Of the one that still needs the most, by its worker's pace.
    private var slowest: Odds?
    /// Of the oldest that is of a worker of no known pace.
    private var oldest: Odds?

    mutating func add(_ odds: Odds) {
      isOverrun = isOverrun || odds.isOverrun
      if let left = odds.left {
        if slowest?.left.map({ left > $0 }) ?? true { slowest = odds }
      } else if oldest.map({ odds.age > $0.age }) ?? true {
        oldest = odds
      }
    }

    /// What `Odds.areWorse` says of any of them.
    func isWorse(than own: Int128?) -> Bool {
      isOverrun || slowest?.areWorse(than: own) ?? false || oldest?.areWorse(than: own) ?? false
    }
  }

  private let now: Instant
  /// Threads of all workers that are present and not on probation.
  let threads: Int
  /// Places of the idle workers among those, in the table.
  let idle: [Int]
  /// Attoseconds that the fastest of them needs for a slice; nil when no pace is known.
  private let leastPace: Int128?
  /// The pace of one of them is not known.
  private let hasStranger: Bool
  /// Audited nodes that one of them might answer for, in the order of their table.
  private(set) var audits: [SliceRange] = []
  /// By audited node, who may answer next.
  private var candidates: [SliceRange: Set<PeerID>] = [:]
  /// The oldest first; nil until somebody asks.
  private(set) var slow: [Slow]?
  private var worst = Worst()

  init(_ peers: [Peer], at now: Instant) {
    var (threads, idle, hasStranger) = (0, [Int](), false)
    var leastPace: Int128?
    // Field by field: whole peers would be copied, with all that they refer to.
    for place in peers.indices where Peer.isPresent(peers[place].isConnected, heard: peers[place].heard, at: now) {
      if !peers[place].delivery.isOnProbation { threads += peers[place].threads }
      guard peers[place].idleThreads > 0, peers[place].delivery.noLeaseBefore.map({ $0 <= now }) ?? true else {
        continue
      }
      idle.append(place)
      if let pace = peers[place].pace?.attoseconds {
        leastPace = leastPace.map { min($0, pace) } ?? pace
      } else {
        hasStranger = true
      }
    }
    (self.now, self.threads, self.idle) = (now, threads, idle)
    (self.leastPace, self.hasStranger) = (leastPace, hasStranger)
  }

  /// Whether a worker may answer next for an audited node.
  /// - Parameter all: who may: a look at all workers, and not one for each of them.
  mutating func mayAnswer(_ node: SliceRange, _ peer: PeerID, of all: () -> [PeerID]) -> Bool {
    if candidates[node] == nil { candidates[node] = Set(all()) }
    return candidates[node]?.contains(peer) ?? false
  }

  /// Nodes of which another answer is of use.
  mutating func lookAfter(_ audits: [SliceRange]) { self.audits = audits }

  /// An audited node was leased in this round: of all audits only its own is another by that.
  mutating func issued(audited node: SliceRange, needsAnother: Bool) {
    candidates[node] = nil
    let place = AuditTable.place(of: node, in: audits)
    switch (place < audits.count && audits[place] == node, needsAnother) {
    case (false, true): audits.insert(node, at: place)
    case (true, false): audits.remove(at: place)
    case (true, true), (false, false): break
    }
  }

  /// Looks for slow leases, if nobody has.
  mutating func findSlow(among leases: [OpenLease], on slices: SliceBoard) {
    guard slow == nil else { return }
    slow = leases.indices.compactMap { slowLease(at: $0, of: leases, on: slices) }
    for lease in slow ?? [] { worst.add(lease.odds) }
  }

  /// Whether there may be something for one of the idle workers.
  mutating func hasWork(among leases: [OpenLease], on slices: SliceBoard) -> Bool {
    if slices.free.count > 0 || !audits.isEmpty { return true }
    findSlow(among: leases, on: slices)
    return slow?.isEmpty == false
  }

  /// Whether there may be something for one of this pace.
  mutating func hasWork(at pace: Duration?, among leases: [OpenLease], on slices: SliceBoard) -> Bool {
    if slices.free.count > 0 || !audits.isEmpty { return true }
    findSlow(among: leases, on: slices)
    return worst.isWorse(than: pace?.attoseconds)
  }

  /// The newest lease was given in this round.
  mutating func issued(_ leases: [OpenLease], on slices: SliceBoard) {
    guard slow != nil, let newest = slowLease(at: leases.count - 1, of: leases, on: slices) else { return }
    slow?.append(newest)
    worst.add(newest.odds)
  }

  private func slowLease(at index: Int, of leases: [OpenLease], on slices: SliceBoard) -> Slow? {
    guard leases[index].isLive else { return nil }
    let odds = leases[index].odds(at: now)
    return isWorthACopy(odds) && slices.hasRoom(in: leases[index].slices) ? Slow(index: index, odds: odds) : nil
  }

  /// Whether an idle worker might have a lease's slices sooner: none needs less for them than for one slice.
  func isWorthACopy(_ odds: Odds) -> Bool {
    if let leastPace, odds.areWorse(than: leastPace) { return true }
    return hasStranger && odds.areWorse(than: nil)
  }
}

extension OpenLease {
  func odds(at now: Instant) -> LeasingRound.Odds {
    let age = now > issuedAt ? now.nanoseconds - issuedAt.nanoseconds : 0
    return LeasingRound.Odds(age: Int128(age) * 1_000_000_000, expected: expected?.attoseconds)
  }
}

extension Peer {
  /// Attoseconds that its idle threads need for so many slices; nil while its pace is not known.
  func time(for slices: Int) -> Int128? {
    pace.map { $0.attoseconds * Int128((slices + idleThreads - 1) / idleThreads) }
  }
}
