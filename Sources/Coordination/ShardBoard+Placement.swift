import Messages
import Numerics

/// Which shard is to hold which extent.
extension ShardBoard {
  /// Has extents with too few holders pulled by one more, and those with too many removed from one.
  mutating func place(at now: Instant, _ effects: inout [Effect]) {
    var pulls: [Int: [ShardID]] = [:]
    for shard in shardsInOrder { for index in shard.orders.pulling.keys { pulls[index, default: []].append(shard.id) } }
    var fetching = extents.values.count(where: \.isFetching)
    var balance = Balance()
    for index in extents.keys.sorted() {
      guard let extent = extents[index] else { continue }
      let holding = extent.holders.filter { self[$0].isHolding }
      var takers = holding + pulls[index, default: []]
      let hasSource = extent.isLocal || extent.holders.contains { self[$0].isPresent }
      while hasSource, takers.count < settings.replicas, let taker = taker(of: index, besides: takers) {
        self[taker].orders.pulling[index] = now
        takers.append(taker)
      }
      if hasSource, takers.count < settings.replicas { makeRoom(besides: takers) }
      let giver = takers.count > settings.replicas ? giver(among: holding, of: takers) : nil
      if let giver, holding.count > settings.replicas, self[giver].isPresent, isSafe(extent, without: giver) {
        // The others' copies are durable and known to be.
        self[giver].orders.removing.insert(index)
        extents[index]?.holders.removeAll { $0 == giver }
        touch()
      }
      balance.count(index, holding: holding, pulling: pulls[index, default: []], takers: takers, giver: giver, settings)
      // A shard that is drained gives to the coordinator what no other has room for.
      let isDraining = extent.holders.contains { self[$0].orders.isDraining && self[$0].isPresent }
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

  /// The holder that should give its copy up: of two on one host, or else of all, the fullest.
  /// - Parameter takers: the holders, and who pulls it.
  private func giver(among holding: [ShardID], of takers: [ShardID]) -> ShardID? {
    func rank(_ id: ShardID) -> (Int, Double, ShardID) {
      let name = self[id].name
      return (takers.count { self[$0].name == name } > 1 ? 1 : 0, fill(of: id), id)
    }
    return holding.max { rank($0) < rank($1) }
  }

  private func fill(of id: ShardID) -> Double {
    Double(self[id].extentCount * settings.extentBytes) / Double(max(self[id].reported.capacity, 1))
  }

  /// The shard that should pull an extent: on another host than those that have it, if one can, and of these the emptiest.
  private func taker(of index: Int, besides takers: [ShardID]) -> ShardID? {
    let hosts = Set(takers.map { self[$0].name })
    let able = shards.values.filter { shard in
      shard.isPresent && !shard.orders.isDraining && shard.reported.held[index] == nil && !takers.contains(shard.id)
        && hasPlace(shard)
    }
    return able.min {
      (hosts.contains($0.name) ? 1 : 0, fill(of: $0.id), $0.id) < (
        hosts.contains($1.name) ? 1 : 0, fill(of: $1.id), $1.id
      )
    }?.id
  }

  /// Whether it can be told to pull one more.
  private func hasPlace(_ shard: Shard) -> Bool {
    shard.reported.fullUntil == nil && shard.orders.pulling.count < CoordinationLimits.extentsInFlight
      && (shard.extentCount + 1) * settings.extentBytes <= shard.reported.capacity
  }

  /// Has a full shard let go of the newest extent that it has from before a resume and that the run has not come to again.
  /// Such a one is worth keeping only as long as no other needs its place.
  private mutating func makeRoom(besides takers: [ShardID]) {
    for shard in shardsInOrder
    where shard.isPresent && !shard.orders.isDraining && shard.orders.removing.isEmpty && !takers.contains(shard.id) {
      guard let newest = shard.reported.held.keys.filter({ extents[$0] == nil }).max() else { continue }
      self[shard.id].orders.removing.insert(newest)
      return
    }
  }

  private func sources(of extent: Extent) -> [ExtentSource] {
    let present = extent.holders.map { self[$0] }.filter(\.isPresent)
    // A shard that leaves has nothing else to do.
    let ordered = present.filter(\.orders.isDraining) + present.filter { !$0.orders.isDraining }
    let addresses = ordered.compactMap { shard in shard.connection.reach.address.map { ExtentSource.shard($0) } }
    return Array((addresses + (extent.isLocal ? [.coordinator] : [])).prefix(WireLimits.sources))
  }

  /// Tells a shard what it should do; also the answer to each of its reports.
  mutating func assign(_ id: ShardID, _ effects: inout [Effect]) {
    let shard = self[id]
    guard let peer = shard.connection.peer else { return }
    let work = shard.orders.work
    if work != shard.orders.assigned || shard.orders.assignment == 0 { self[id].orders.assignment += 1 }
    self[id].orders.assigned = work
    let assigned = work.pulling.compactMap { index -> AssignedExtent? in
      guard let extent = self.extents[index] else { return nil }
      let sources = self.sources(of: extent)
      return sources.isEmpty ? nil : AssignedExtent(extent: extent.identity, sources: sources)
    }
    effects.append(
      .send(
        .assignment(
          Assignment(
            number: self[id].orders.assignment, heard: shard.reported.changes, extents: assigned,
            removed: work.removing)),
        to: peer))
  }

  /// Copies that are still to be made. A shard that leaves holds nothing for long.
  var copiesToMake: Int {
    guard shards.values.contains(where: { !$0.orders.isDraining }) else { return 0 }
    return extents.values.reduce(0) { sum, extent in
      sum + max(0, settings.replicas - extent.holders.count { !self[$0].orders.isDraining })
    }
  }
}

// MARK: - Evenness

extension ShardBoard {
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
    let able = shardsInOrder.filter { $0.isPresent && !$0.orders.isDraining }
    let capacity = able.reduce(0) { $0 + $1.reported.capacity }
    let total = able.reduce(0) { $0 + balance.has[$1.id, default: 0] }
    movesToMake = able.reduce(0) { sum, shard in
      let share = Double(total) * Double(shard.reported.capacity) / Double(max(capacity, 1))
      return sum + max(0, balance.has[shard.id, default: 0] - Int(share.rounded(.up)))
    }
    func load(_ shard: Shard, _ change: Int) -> Double {
      Double(balance.willHave[shard.id, default: 0] + change) * Double(settings.extentBytes)
        / Double(max(shard.reported.capacity, 1))
    }
    for taker in able.sorted(by: { (load($0, 0), $0.id) < (load($1, 0), $1.id) }) {
      while balance.moves[taker.id, default: 0] < CoordinationLimits.movesInFlight, hasPlace(self[taker.id]) {
        let taker = self[taker.id]
        let givers = able.filter { $0.id != taker.id && load($0, -1) >= load(taker, 1) }
          .sorted { (load($1, 0), $1.id) < (load($0, 0), $0.id) }
        var found: (index: Int, from: ShardID)?
        for giver in givers where found == nil {
          found = extentToMove(from: giver, to: taker, of: balance.settled).map { ($0, giver.id) }
        }
        guard let move = found else { break }
        self[taker.id].orders.pulling[move.index] = now
        balance.settled.remove(move.index)
        balance.moves[taker.id, default: 0] += 1
        balance.willHave[taker.id, default: 0] += 1
        balance.willHave[move.from, default: 0] -= 1
      }
    }
  }

  /// The newest one, for it is needed for the longest time, whose copies are on as many hosts then as before.
  private func extentToMove(from giver: Shard, to taker: Shard, of settled: Set<Int>) -> Int? {
    giver.reported.held.keys.filter { index in
      guard settled.contains(index), taker.reported.held[index] == nil, let holders = extents[index]?.holders,
        holders.contains(giver.id)
      else { return false }
      let others = holders.filter { $0 != giver.id }.map { self[$0].name }
      return Set(others + [taker.name]).count >= Set(others + [giver.name]).count
    }.max()
  }
}
