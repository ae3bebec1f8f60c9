import Messages
import Numerics

/// Which memory shard holds which extent, and which should: pure, as the coordinator that owns it.
///
/// An extent begins in the coordinator's own file. Shards are told to pull it, and report when it is durable; once
/// `replicas` of them have, and a durable ledger names them, the coordinator's file is released. Copying, moving away from
/// a shard that is drained, and repairing what was lost or damaged are one rule: too few holders, so one more pulls. Where
/// all have enough, shards that are emptier than others by more than an extent pull from those, who then have one too many.
/// Whatever takes a copy away (`release`, `trim`, the end of a drain) first counts the others, in `isSafe(_:without:)`.
struct ShardBoard: Sendable {
  /// A memory shard that said hello, or that the ledger names.
  struct Shard: Sendable {
    let id: ShardID
    /// For people, and its host.
    var name: String
    /// Nil while it has not said hello, and after its goodbye.
    var peer: PeerID?
    /// Who spoke for it before: whoever comes back while `peer` lives is a second process with the same directory.
    var formerPeers: [PeerID] = []
    /// It was heard after its hello: a hello alone may be a dead process's, delayed on its way.
    var hasReported = false
    /// What its hello says that it has: believed once it was heard after it.
    var greeting: [Int: UInt64]?
    /// Nil while it has not said hello.
    var address: ShardAddress?
    /// Where it served before the coordinator started, if it did.
    var formerEndpoint: Endpoint?
    /// The coordinator had an answer from there: rows at an address that is wrong would be nowhere.
    var isReachable = false
    var probeNotBefore: Instant?
    /// When people were told last that it is not reachable.
    var complained: Instant?
    var capacity = 0
    var used = 0
    /// It had no room at a try; set back after a pause.
    var isFull = false
    var fullUntil: Instant?
    /// When people were told last.
    var saidFull: Instant?
    /// What it has, right or wrong: the low half of the digest after the extent.
    var held: [Int: UInt64] = [:]
    /// Changes of its that were heard.
    var changes: UInt64 = 0
    /// When it was last heard, or the board began.
    var heard: Instant
    var isDraining = false
    /// Lately; set by `plan`.
    var isHeard = false
    /// Heard lately, and reachable; set by `plan`.
    var isPresent = false
    /// Its copies count, though it may be away for a moment; set by `plan`.
    var isCounted = true
    /// To be pulled, since when.
    var pulling: [Int: Instant] = [:]
    /// To be removed: these no longer count as held.
    var removing: Set<Int> = []
    /// The number of the last assignment, and what it was about.
    var assignment: UInt64 = 0
    var assigned: (pulling: [Int], removing: [Int]) = ([], [])
    var served: (rows: Int, bytes: Int, at: Instant?) = (0, 0, nil)
    var rowsPerSecond = 0.0
    var bytesPerSecond = 0.0
    var problem = ""
  }

  /// An extent that is sealed and needed.
  struct Extent: Sendable {
    let identity: ExtentIdentity
    /// The coordinator has it in a file of its own.
    var isLocal: Bool
    /// Shards that have it with these rows, present or away, but for those that are to remove it.
    var holders: [ShardID]
    /// Those that the newest durable ledger names.
    var durableHolders: [ShardID]
    /// The coordinator pulls it.
    var isFetching = false
  }

  let settings: MemorySettings
  private(set) var shards: [ShardID: Shard] = [:]
  private(set) var extents: [Int: Extent] = [:]
  /// Rows below this are needed by nobody.
  private(set) var oldestRow: Int
  /// Rows below this are in every checkpoint that a start may resume from.
  private(set) var settledRows: Int
  /// Of the table of holders; 0 until a shard has joined.
  private(set) var version: UInt64 = 0
  /// Extents in the step's memory that nobody present has; of those `lost`, nobody has them at all.
  private(set) var missing: [Int] = []
  private(set) var lost: [Int] = []
  private(set) var missingSince: Instant?
  /// Extents that were copied since the coordinator started.
  private(set) var copied = 0
  /// The same of extents that had enough copies, or were a drained shard's.
  private(set) var moved = 0
  /// Extents that are still to be moved until all shards are equally full.
  private(set) var movesToMake = 0
  private(set) var damaged = 0
  private var byPeer: [PeerID: ShardID] = [:]
  /// Who was told to leave; a bounded number, the newest last.
  private var drained: [PeerID] = []
  /// The ledger that is being written, and what it says.
  private var ledger: (number: UInt64, holders: [Int: [ShardID]])?
  private var ledgers: UInt64 = 0
  private var ledgerIsStale = false
  private var ledgerNotBefore: Instant
  /// Something changed that `plan` has not looked at.
  private var isDirty = true
  private var complainAt: Instant?
  private var unfetched = GatheredLines("extents could not be fetched")

  init(_ settings: MemorySettings, resuming memory: ResumedMemory, at now: Instant) {
    invariant(settings.rowsPerExtent > 0 && settings.replicas > 0, "\(settings)")
    self.settings = settings
    oldestRow = memory.oldestRow
    settledRows = memory.settledRows
    ledgerNotBefore = now
    for entry in memory.ledger.entries {
      let index = entry.extent.index
      extents[index] = Extent(
        identity: entry.extent, isLocal: memory.local.contains(index), holders: entry.holders.sorted(),
        durableHolders: entry.holders.sorted())
      for id in entry.holders {
        if shards[id] == nil {
          let known = memory.ledger.shards[id]
          shards[id] = Shard(id: id, name: known?.name ?? id.description, heard: now)
          shards[id]?.formerEndpoint = known?.endpoint
          shards[id]?.isDraining = known?.isDraining ?? false
        }
        shards[id]?.held[index] = entry.extent.after.low
      }
    }
    if !shards.isEmpty { version = 1 }
  }

  func rows(of index: Int) -> Range<Int> { index * settings.rowsPerExtent..<(index + 1) * settings.rowsPerExtent }

  var shardsInOrder: [Shard] { shards.values.sorted { $0.id < $1.id } }

  var hasShardsHeard: Bool { shards.values.contains(where: \.isHeard) }

  func shard(of peer: PeerID) -> Shard? { byPeer[peer].flatMap { shards[$0] } }

  func wasDrained(_ peer: PeerID) -> Bool { drained.contains(peer) }

  private mutating func touch() {
    version += 1
    isDirty = true
    ledgerIsStale = true
  }
}

// MARK: - What shards say

extension ShardBoard {
  /// Whether another process took this one's place as this shard, and both live.
  func isDuplicate(_ hello: ShardHello, from peer: PeerID, at now: Instant) -> Bool {
    guard let shard = shards[hello.shard], shard.peer != nil, shard.peer != peer else { return false }
    return shard.formerPeers.contains(peer) && shard.hasReported && now - shard.heard < CoordinationLimits.silence
  }

  /// - Returns: whether it is new here.
  mutating func join(_ hello: ShardHello, as peer: PeerID, at now: Instant) -> Bool {
    var shard = shards[hello.shard] ?? Shard(id: hello.shard, name: hello.name, heard: now)
    let isNew = shard.peer != peer
    if isNew {
      if let former = shard.peer {
        shard.formerPeers = shard.formerPeers.suffix(CoordinationLimits.formerPeers - 1) + [former]
        byPeer[former] = nil
      }
      shard.peer = peer
      shard.hasReported = false
      shard.changes = 0
      shard.pulling = [:]
      shard.served = (0, 0, nil)
      byPeer[peer] = hello.shard
    }
    if isNew || shard.address != hello.address {
      shard.isReachable = false
      shard.probeNotBefore = nil
    }
    (shard.name, shard.address, shard.capacity, shard.heard) = (hello.name, hello.address, hello.capacity, now)
    shard.formerEndpoint = hello.address.endpoint
    shards[hello.shard] = shard
    // An older hello of the same process, delayed on its way, says nothing new.
    if isNew || hello.changes >= shard.changes {
      shards[hello.shard]?.greeting = Dictionary(hello.held.map { ($0.index, $0.after) }, uniquingKeysWith: { $1 })
      shards[hello.shard]?.changes = hello.changes
      if shard.hasReported { takeGreeting(of: hello.shard) }
    }
    touch()
    return isNew
  }

  private mutating func takeGreeting(of id: ShardID) {
    guard let shard = shards[id], let held = shard.greeting else { return }
    shards[id]?.greeting = nil
    for (index, after) in shard.held where held[index] != after { lose(index, id) }
    for (index, after) in held { gain(index, after, id) }
    touch()
  }

  mutating func hear(_ report: ShardReport, of id: ShardID, at now: Instant, _ effects: inout [Effect]) {
    takeGreeting(of: id)
    guard var shard = shards[id] else { return }
    shard.heard = now
    shard.hasReported = true
    (shard.used, shard.capacity) = (report.used, report.capacity)
    // A full disk is said once, not for each extent that it has no room for.
    let isSaid = report.isFull && shard.saidFull.map { now - $0 < CoordinationLimits.complaint } ?? false
    if report.isFull, !isSaid { shard.saidFull = now }
    if shard.problem != report.problem, !report.problem.isEmpty, !isSaid {
      effects.append(.log(.warning, "Memory shard '\(shard.name)': \(report.problem)"))
    }
    shard.problem = report.problem
    // Said of the newest assignment; what it says of an older one is no longer so.
    if report.isFull, !shard.isFull, report.assignment == shard.assignment {
      (shard.isFull, shard.fullUntil) = (true, now + CoordinationLimits.fullPause)
      shard.pulling = [:]
      isDirty = true
    }
    if let before = shard.served.at, now - before >= CoordinationLimits.heartbeat / 2 {
      let seconds = (now - before) / .seconds(1)
      shard.rowsPerSecond = Double(max(0, report.servedRows - shard.served.rows)) / seconds
      shard.bytesPerSecond = Double(max(0, report.servedBytes - shard.served.bytes)) / seconds
    }
    shard.served = (report.servedRows, report.servedBytes, now)
    // Changes come in order and again until they were heard: those that were are passed over, none is left out.
    let new = report.first <= shard.changes ? report.changes.dropFirst(Int(clamping: shard.changes - report.first)) : []
    shard.changes += UInt64(new.count)
    shards[id] = shard
    var found: [Int] = []
    for change in new {
      switch change {
      case .held(let extent):
        if shards[id]?.pulling[extent.index] != nil {
          if extents[extent.index]?.holders.count ?? 0 < settings.replicas { copied += 1 } else { moved += 1 }
        }
        gain(extent.index, extent.after, id)
      case .removed(let index): lose(index, id)
      case .damaged(let index):
        damaged += 1
        found.append(index)
        lose(index, id)
      }
    }
    if let first = found.min(), let last = found.max() {
      let extents = found.count > 1 ? " (\(found.count) extents of them)" : ""
      effects.append(
        .log(
          .error,
          "Memory shard '\(shard.name)' found rows \(rows(of: first).lowerBound) to \(rows(of: last).upperBound - 1) "
            + "damaged\(extents): they are copied again. Its disk or memory may be broken."))
    }
    if !new.isEmpty { touch() }
  }

  mutating func probed(
    _ id: ShardID, _ address: ShardAddress, failure: String?, at now: Instant, _ effects: inout [Effect]
  ) {
    guard let shard = shards[id], shard.address == address, !shard.isReachable else { return }
    guard let failure else {
      shards[id]?.isReachable = true
      isDirty = true
      return
    }
    shards[id]?.probeNotBefore = now + CoordinationLimits.probePause
    guard shard.complained.map({ now - $0 >= CoordinationLimits.complaint }) ?? true else { return }
    shards[id]?.complained = now
    effects.append(
      .log(
        .warning,
        "Memory shard '\(shard.name)' cannot be reached at \(address.endpoint): \(failure). Its rows are not counted, and "
          + "it gets none: give 'massl memory' an --advertise that the coordinator, workers and other shards reach."))
  }

  /// It left, with its rows.
  mutating func leave(_ id: ShardID) {
    guard let peer = shards[id]?.peer else { return }
    byPeer[peer] = nil
    shards[id]?.peer = nil
    shards[id]?.pulling = [:]
    touch()
  }

  private mutating func gain(_ index: Int, _ after: UInt64, _ id: ShardID) {
    shards[id]?.held[index] = after
    shards[id]?.pulling[index] = nil
    if let extent = extents[index] {
      guard after == extent.identity.after.low else {
        // Rows of another course of the run: from before a resume, or a change of its settings.
        shards[id]?.removing.insert(index)
        return
      }
      guard !(shards[id]?.removing.contains(index) ?? true), !extent.holders.contains(id) else { return }
      extents[index]?.holders = (extent.holders + [id]).sorted()
    } else if rows(of: index).upperBound <= oldestRow {
      shards[id]?.removing.insert(index)
    }
  }

  private mutating func lose(_ index: Int, _ id: ShardID) {
    shards[id]?.held[index] = nil
    shards[id]?.removing.remove(index)
    extents[index]?.holders.removeAll { $0 == id }
  }
}

// MARK: - What the process says

extension ShardBoard {
  /// Its last row is appended to the coordinator's own file.
  mutating func sealed(_ identity: ExtentIdentity) {
    invariant(extents[identity.index] == nil, "extent \(identity.index) is sealed twice")
    extents[identity.index] = Extent(identity: identity, isLocal: true, holders: [], durableHolders: [])
    // Shards may have it from before a resume; with the same rows they need not copy it again.
    for id in shards.keys.sorted() {
      if let after = shards[id]?.held[identity.index] { gain(identity.index, after, id) }
    }
    isDirty = true
    ledgerIsStale = true
  }

  /// Of the rows that kept checkpoints need, which begin at `oldest`; all of them have those below `settled`.
  mutating func needed(from oldest: Int, settled: Int) {
    oldestRow = max(oldestRow, oldest)
    settledRows = settled
    isDirty = true
    for index in extents.keys where rows(of: index).upperBound <= oldestRow {
      extents[index] = nil
      ledgerIsStale = true
    }
    for (id, shard) in shards {
      for index in shard.held.keys where rows(of: index).upperBound <= oldestRow {
        shards[id]?.removing.insert(index)
      }
      for index in shard.pulling.keys where extents[index] == nil { shards[id]?.pulling[index] = nil }
    }
  }

  /// The step's memory is another one now.
  mutating func windowMoved() { isDirty = true }

  mutating func ledgerWritten(_ number: UInt64, failure: String?, at now: Instant, _ effects: inout [Effect]) {
    guard let written = ledger, written.number == number else { return }
    ledger = nil
    isDirty = true
    if let failure {
      ledgerIsStale = true
      ledgerNotBefore = now + CoordinationLimits.checkpointRetry
      return effects.append(
        .log(.error, "The table of the memory's extents could not be written: \(failure). The next try follows."))
    }
    for (index, holders) in written.holders { extents[index]?.durableHolders = holders }
  }

  mutating func fetched(_ index: Int, failure: String?, at now: Instant, _ effects: inout [Effect]) {
    extents[index]?.isFetching = false
    if let failure {
      let line = "Extent \(index) could not be fetched: \(failure)"
      if let line = unfetched.note(line, number: UInt64(clamping: index), at: now.sinceStart) {
        effects.append(.log(.warning, line))
      }
    } else {
      extents[index]?.isLocal = true
      copied += 1
    }
    isDirty = true
  }

  /// - Returns: whether it will be drained, and a sentence.
  mutating func drain(_ text: String) -> (isAccepted: Bool, text: String) {
    guard let shard = shard(called: text) else { return (false, whyNobody(isCalled: text)) }
    guard shard.isPresent else {
      return (false, "Memory shard '\(shard.name)' is away: start it again, then drain it.")
    }
    shards[shard.id]?.isDraining = true
    touch()
    return (true, "Memory shard '\(shard.name)' gives its \(shard.held.count) extents to others, then leaves.")
  }

  /// - Returns: whether it will stay, and a sentence.
  mutating func cancelDrain(_ text: String) -> (isAccepted: Bool, text: String) {
    guard let shard = shard(called: text) else { return (false, whyNobody(isCalled: text)) }
    guard shard.isDraining else { return (false, "Memory shard '\(shard.name)' is not being drained.") }
    shards[shard.id]?.isDraining = false
    touch()
    return (true, "Memory shard '\(shard.name)' stays: its drain is called off.")
  }

  private func shards(called text: String) -> [Shard] {
    shardsInOrder.filter { $0.name == text || $0.id.description == text }
  }

  /// The only one of this name, or the one of this identity.
  private func shard(called text: String) -> Shard? {
    let named = shards(called: text)
    return named.count == 1 ? named[0] : nil
  }

  private func whyNobody(isCalled text: String) -> String {
    let named = shards(called: text)
    if named.isEmpty {
      let known = shardsInOrder.map { "'\($0.name)' (\($0.id))" }.joined(separator: ", ")
      return "No memory shard is called '\(text)'. " + (known.isEmpty ? "There is none." : "There are \(known).")
    }
    let ids = named.map(\.id.description).joined(separator: ", ")
    return "\(named.count) memory shards are called '\(text)': give one of their identities, \(ids)."
  }
}

// MARK: - What follows

extension ShardBoard {
  /// Looks at everything that changed, and at what time has ended.
  ///
  /// - Parameter window: the rows of the step's memory that are stored.
  /// - Complexity: O(shards); O(extents * holders) when something changed.
  mutating func plan(at now: Instant, window: Range<Int>, _ effects: inout [Effect]) {
    for shard in shardsInOrder {
      let isHeard = shard.peer != nil && now - shard.heard < CoordinationLimits.silence
      shards[shard.id]?.isHeard = isHeard
      if isHeard, shard.hasReported, !shard.isReachable, now >= shard.probeNotBefore ?? now, let address = shard.address
      {
        // Until its answer, or that there is none.
        shards[shard.id]?.probeNotBefore = now + CoordinationLimits.absence
        effects.append(.probeShard(shard.id, address))
      }
      if let until = shard.fullUntil, now >= until {
        shards[shard.id]?.isFull = false
        shards[shard.id]?.fullUntil = nil
        isDirty = true
      }
      let isPresent = isHeard && shard.isReachable
      if isPresent != shard.isPresent {
        shards[shard.id]?.isPresent = isPresent
        if !isPresent {
          effects.append(.log(.warning, "Memory shard '\(shard.name)' is away, with \(shard.held.count) extents."))
          shards[shard.id]?.pulling = [:]
        }
        touch()
      }
      // Copies of what it had are worth their price once it has been away for so long.
      let isOverdue = !isPresent && now - shard.heard >= CoordinationLimits.shardReturn
      if isOverdue, !shard.held.isEmpty, shards[shard.id]?.isCounted ?? false {
        shards[shard.id]?.isCounted = false
        isDirty = true
      } else if !isOverdue, !(shards[shard.id]?.isCounted ?? true) {
        shards[shard.id]?.isCounted = true
        isDirty = true
      }
    }
    if isDirty {
      isDirty = false
      replace(&effects)
      place(at: now, &effects)
      release(&effects)
      look(at: window, now)
      endDrains(&effects)
    }
    writeLedger(at: now, &effects)
    if let line = unfetched.rest(at: now.sinceStart) { effects.append(.log(.warning, line)) }
    for shard in shardsInOrder where shard.isPresent {
      let (pulling, removing) = work(of: shard)
      if (pulling, removing) != shard.assigned { assign(shard.id, &effects) }
    }
  }

  /// A shard at the place of one that is away was started there with another directory: that of the other is lost. If
  /// it is not, its own shard says so when it comes back.
  private mutating func replace(_ effects: inout [Effect]) {
    for shard in shardsInOrder where !shard.isPresent && !shard.held.isEmpty {
      let other = shardsInOrder.first {
        $0.isPresent && $0.name == shard.name && $0.address?.endpoint == shard.formerEndpoint
      }
      guard let other, shard.formerEndpoint != nil else { continue }
      effects.append(
        .log(
          .warning,
          "Memory shard '\(shard.name)' serves as \(other.id) now, with another directory than before: the "
            + "\(shard.held.count) extents of \(shard.id) are taken for lost, unless a shard comes back with them."))
      for index in shard.held.keys { lose(index, shard.id) }
      touch()
    }
  }

  private func isHolding(_ id: ShardID) -> Bool { shards[id].map { $0.isCounted && !$0.isDraining } ?? false }

  /// Whether an extent has all its copies, without this shard's: present ones that a restart would know of.
  private func isSafe(_ extent: Extent, without id: ShardID?) -> Bool {
    let others = extent.holders.count {
      $0 != id && isNamed($0, for: extent) && isHolding($0) && shards[$0]?.isPresent ?? false
    }
    return others >= settings.replicas
  }

  /// Whether the ledger names a shard, and will go on to: one that is being written may have been drawn up before the
  /// shard said what it has.
  private func isNamed(_ id: ShardID, for extent: Extent) -> Bool {
    extent.durableHolders.contains(id) && ledger?.holders[extent.identity.index]?.contains(id) ?? true
  }

  /// Has extents with too few holders pulled by one more, and those with too many removed from one.
  private mutating func place(at now: Instant, _ effects: inout [Effect]) {
    var pulls: [Int: [ShardID]] = [:]
    for shard in shardsInOrder { for index in shard.pulling.keys { pulls[index, default: []].append(shard.id) } }
    var fetching = extents.values.count(where: \.isFetching)
    var balance = Balance()
    for index in extents.keys.sorted() {
      guard let extent = extents[index] else { continue }
      let holding = extent.holders.filter(isHolding)
      var takers = holding + pulls[index, default: []]
      let hasSource = extent.isLocal || extent.holders.contains { shards[$0]?.isPresent ?? false }
      while hasSource, takers.count < settings.replicas, let taker = taker(of: index, besides: takers) {
        shards[taker]?.pulling[index] = now
        takers.append(taker)
      }
      let giver = takers.count > settings.replicas ? giver(among: holding, of: takers) : nil
      if let giver, holding.count > settings.replicas, shards[giver]?.isPresent ?? false,
        isSafe(extent, without: giver)
      {
        // The others' copies are durable and known to be.
        shards[giver]?.removing.insert(index)
        extents[index]?.holders.removeAll { $0 == giver }
        touch()
      }
      balance.count(index, holding: holding, pulling: pulls[index, default: []], takers: takers, giver: giver, settings)
      // A shard that is drained gives to the coordinator what no other has room for.
      let isDraining = extent.holders.contains { shards[$0].map { $0.isDraining && $0.isPresent } ?? false }
      if isDraining, takers.count < settings.replicas, !extent.isLocal, !extent.isFetching,
        fetching < CoordinationLimits.extentsInFlight
      {
        fetching += 1
        extents[index]?.isFetching = true
        effects.append(.fetchExtent(AssignedExtent(extent: extent.identity, sources: sources(of: extent))))
      }
    }
    even(balance, at: now)
  }

  /// What shards have, and will have once all that is under way is done.
  private struct Balance {
    var has: [ShardID: Int] = [:]
    var willHave: [ShardID: Int] = [:]
    /// Extents that a shard pulls, though they have copies enough.
    var moves: [ShardID: Int] = [:]
    /// Extents with as many copies as they should have, of which none is on its way.
    var settled: Set<Int> = []

    mutating func count(
      _ index: Int, holding: [ShardID], pulling: [ShardID], takers: [ShardID], giver: ShardID?,
      _ settings: MemorySettings
    ) {
      for id in holding { has[id, default: 0] += 1 }
      for id in takers where id != giver { willHave[id, default: 0] += 1 }
      if holding.count >= settings.replicas { for id in pulling { moves[id, default: 0] += 1 } }
      if holding.count == settings.replicas, takers.count == holding.count { settled.insert(index) }
    }
  }

  /// Has shards that are emptier than others by more than an extent pull from these, a few extents at a time.
  private mutating func even(_ balance: Balance, at now: Instant) {
    var balance = balance
    let able = shardsInOrder.filter { $0.isPresent && !$0.isDraining }
    let capacity = able.reduce(0) { $0 + $1.capacity }
    let total = able.reduce(0) { $0 + balance.has[$1.id, default: 0] }
    movesToMake = able.reduce(0) { sum, shard in
      let share = Double(total) * Double(shard.capacity) / Double(max(capacity, 1))
      return sum + max(0, balance.has[shard.id, default: 0] - Int(share.rounded(.up)))
    }
    func load(_ shard: Shard, _ change: Int) -> Double {
      Double(balance.willHave[shard.id, default: 0] + change) * Double(settings.extentBytes)
        / Double(max(shard.capacity, 1))
    }
    for taker in able.sorted(by: { (load($0, 0), $0.id) < (load($1, 0), $1.id) }) {
      while balance.moves[taker.id, default: 0] < CoordinationLimits.movesInFlight, let taker = shards[taker.id],
        hasPlace(taker)
      {
        let givers = able.filter { $0.id != taker.id && load($0, -1) >= load(taker, 1) }
          .sorted { (load($1, 0), $1.id) < (load($0, 0), $0.id) }
        var found: (index: Int, from: ShardID)?
        for giver in givers where found == nil {
          found = extentToMove(from: giver, to: taker, of: balance.settled).map { ($0, giver.id) }
        }
        guard let move = found else { break }
        shards[taker.id]?.pulling[move.index] = now
        balance.settled.remove(move.index)
        balance.moves[taker.id, default: 0] += 1
        balance.willHave[taker.id, default: 0] += 1
        balance.willHave[move.from, default: 0] -= 1
      }
    }
  }

  /// The newest one, for it is needed for the longest time, whose copies are on as many hosts then as before.
  private func extentToMove(from giver: Shard, to taker: Shard, of settled: Set<Int>) -> Int? {
    giver.held.keys.filter { index in
      guard settled.contains(index), taker.held[index] == nil, let holders = extents[index]?.holders,
        holders.contains(giver.id)
      else { return false }
      let others = holders.filter { $0 != giver.id }.map { shards[$0]?.name }
      return Set(others + [taker.name]).count >= Set(others + [giver.name]).count
    }.max()
  }

  /// The holder that should give its copy up: of two on one host, or else of all, the fullest.
  /// - Parameter takers: the holders, and who pulls it.
  private func giver(among holding: [ShardID], of takers: [ShardID]) -> ShardID? {
    func rank(_ id: ShardID) -> (Int, Double, ShardID) {
      let name = shards[id]?.name
      return (takers.count { shards[$0]?.name == name } > 1 ? 1 : 0, fill(of: id), id)
    }
    return holding.max { rank($0) < rank($1) }
  }

  private func fill(of id: ShardID) -> Double {
    guard let shard = shards[id] else { return 1 }
    let count = shard.held.count + shard.pulling.keys.count { shard.held[$0] == nil }
    return Double(count * settings.extentBytes) / Double(max(shard.capacity, 1))
  }

  /// The shard that should pull an extent: on another host than those that have it, if one can, and of these the emptiest.
  private func taker(of index: Int, besides takers: [ShardID]) -> ShardID? {
    let hosts = Set(takers.compactMap { shards[$0]?.name })
    let able = shards.values.filter { shard in
      shard.isPresent && !shard.isDraining && shard.held[index] == nil && !takers.contains(shard.id) && hasPlace(shard)
    }
    return able.min {
      (hosts.contains($0.name) ? 1 : 0, fill(of: $0.id), $0.id) < (
        hosts.contains($1.name) ? 1 : 0, fill(of: $1.id), $1.id
      )
    }?.id
  }

  /// Whether it can be told to pull one more.
  private func hasPlace(_ shard: Shard) -> Bool {
    let count = shard.held.count + shard.pulling.keys.count { shard.held[$0] == nil }
    return !shard.isFull && shard.pulling.count < CoordinationLimits.extentsInFlight
      && (count + 1) * settings.extentBytes <= shard.capacity
  }

  private func sources(of extent: Extent) -> [ExtentSource] {
    let present = extent.holders.compactMap { shards[$0] }.filter(\.isPresent)
    // A shard that leaves has nothing else to do.
    let ordered = present.filter(\.isDraining) + present.filter { !$0.isDraining }
    let addresses = ordered.compactMap { shard in shard.address.map { ExtentSource.shard($0) } }
    return Array((addresses + (extent.isLocal ? [.coordinator] : [])).prefix(WireLimits.sources))
  }

  /// Lets go of the coordinator's files that enough shards hold; never of what a resume may have to append to.
  private mutating func release(_ effects: inout [Effect]) {
    let released = extents.values.filter { extent in
      extent.isLocal && rows(of: extent.identity.index).upperBound <= settledRows && isSafe(extent, without: nil)
    }.map { $0.identity.index }.sorted()
    guard !released.isEmpty else { return }
    for index in released { extents[index]?.isLocal = false }
    effects.append(.releaseExtents(released))
  }

  private mutating func look(at window: Range<Int>, _ now: Instant) {
    missing = extents.values.filter { extent in
      !extent.isLocal && rows(of: extent.identity.index).overlaps(window)
        && !extent.holders.contains { shards[$0]?.isPresent ?? false }
    }.map { $0.identity.index }.sorted()
    lost = missing.filter { extents[$0]?.holders.isEmpty ?? false }
    if missing.isEmpty {
      (missingSince, complainAt) = (nil, nil)
    } else if missingSince == nil {
      missingSince = now
      complainAt = now + CoordinationLimits.silence
    }
  }

  /// Whether it is time to say (again) that rows are missing.
  mutating func complains(at now: Instant) -> Bool {
    guard let at = complainAt, now >= at else { return false }
    complainAt = now + CoordinationLimits.complaint
    return true
  }

  private mutating func endDrains(_ effects: inout [Effect]) {
    for shard in shardsInOrder where shard.isDraining && shard.isPresent {
      let isNeeded = extents.values.contains {
        $0.holders.contains(shard.id) && !$0.isLocal && !isSafe($0, without: shard.id)
      }
      guard !isNeeded, let peer = shard.peer else { continue }
      for index in shard.held.keys { lose(index, shard.id) }
      byPeer[peer] = nil
      shards[shard.id] = nil
      drained = drained.suffix(CoordinationLimits.formerPeers - 1) + [peer]
      touch()
      effects.append(.log(.info, "Memory shard '\(shard.name)' is drained."))
      effects.append(.send(.finished, to: peer))
    }
  }

  private mutating func writeLedger(at now: Instant, _ effects: inout [Effect]) {
    guard ledgerIsStale, ledger == nil, now >= ledgerNotBefore else { return }
    ledgerIsStale = false
    ledgerNotBefore = now + CoordinationLimits.ledgerPause
    ledgers += 1
    let entries = extents.values.sorted { $0.identity.index < $1.identity.index }
      .map { extent in
        // Of what is lost it goes on to say who had it: they may come back with it.
        LedgerEntry(
          extent: extent.identity,
          holders: extent.holders.isEmpty && !extent.isLocal ? extent.durableHolders : extent.holders)
      }
    ledger = (ledgers, Dictionary(uniqueKeysWithValues: entries.map { ($0.extent.index, $0.holders) }))
    let named = Set(entries.flatMap(\.holders))
    let known = shards.filter { named.contains($0.key) }.mapValues { shard in
      LedgerShard(name: shard.name, endpoint: shard.formerEndpoint, isDraining: shard.isDraining)
    }
    effects.append(.writeLedger(number: ledgers, Ledger(entries: entries, shards: known)))
  }

  private func work(of shard: Shard) -> (pulling: [Int], removing: [Int]) {
    (shard.pulling.keys.sorted(), Array(shard.removing.sorted().prefix(WireLimits.extentsAssigned)))
  }

  /// Tells a shard what it should do; also the answer to each of its reports.
  mutating func assign(_ id: ShardID, _ effects: inout [Effect]) {
    guard let shard = shards[id], let peer = shard.peer else { return }
    let (pulling, removing) = work(of: shard)
    if (pulling, removing) != shard.assigned || shard.assignment == 0 { shards[id]?.assignment += 1 }
    shards[id]?.assigned = (pulling, removing)
    let assigned = pulling.compactMap { index -> AssignedExtent? in
      guard let extent = self.extents[index] else { return nil }
      let sources = self.sources(of: extent)
      return sources.isEmpty ? nil : AssignedExtent(extent: extent.identity, sources: sources)
    }
    effects.append(
      .send(
        .assignment(
          Assignment(
            number: shards[id]?.assignment ?? 0, heard: shard.changes, extents: assigned, removed: removing)),
        to: peer))
  }
}
