import Messages
import Numerics

/// What people ask of shards, and what they are told.
extension ShardBoard {
  /// - Returns: whether it will be drained, and a sentence.
  mutating func drain(_ text: String) -> (isAccepted: Bool, text: String) {
    guard let shard = shard(called: text) else { return (false, whyNobody(isCalled: text)) }
    guard shard.isPresent else {
      return (false, "Memory shard '\(shard.name)' is away: start it again, then drain it.")
    }
    self[shard.id].orders.isDraining = true
    touch()
    return (true, "Memory shard '\(shard.name)' gives its \(shard.reported.held.count) extents to others, then leaves.")
  }

  /// - Returns: whether it will stay, and a sentence.
  mutating func cancelDrain(_ text: String) -> (isAccepted: Bool, text: String) {
    guard let shard = shard(called: text) else { return (false, whyNobody(isCalled: text)) }
    guard shard.orders.isDraining else { return (false, "Memory shard '\(shard.name)' is not being drained.") }
    self[shard.id].orders.isDraining = false
    touch()
    return (true, "Memory shard '\(shard.name)' stays: its drain is called off.")
  }

  /// Lets shards go whose extents others hold.
  mutating func endDrains(_ effects: inout [Effect]) {
    for shard in shardsInOrder where shard.orders.isDraining && shard.isPresent {
      let isNeeded = extents.values.contains {
        $0.holders.contains(shard.id) && !$0.isLocal && !isSafe($0, without: shard.id)
      }
      guard !isNeeded, let peer = shard.connection.peer else { continue }
      for index in shard.reported.held.keys { lose(index, shard.id) }
      byPeer[peer] = nil
      shards[shard.id] = nil
      drained = drained.suffix(CoordinationLimits.formerPeers - 1) + [peer]
      touch()
      effects.append(.log(.info, "Memory shard '\(shard.name)' is drained."))
      effects.append(.send(.finished, to: peer))
    }
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

// MARK: - What is missing

extension ShardBoard {
  /// The missing extents' rows, from the first to the last, whatever is between; nil when none is missing.
  var missingRows: Range<Int>? {
    guard let first = shortage.missing.first, let last = shortage.missing.last else { return nil }
    return rows(of: first).lowerBound..<rows(of: last).upperBound
  }

  /// Whether it is time to say (again) that rows are missing.
  mutating func complains(at now: Instant) -> Bool {
    guard let at = shortage.complainAt, now >= at else { return false }
    shortage.complainAt = now + CoordinationLimits.complaint
    return true
  }

  /// Who has what is missing, since when they are away, and what to do.
  func waiting(for rows: Range<Int>, at now: Instant) -> String {
    let away = Set(shortage.missing.flatMap { extents[$0]?.holders ?? [] }).sorted().prefix(8).map { id in
      let silence = now - self[id].connection.heard
      return "'\(self[id].name)' (\(id)), not heard for \(silence.words)"
    }
    return "Waiting for the memory's \(rows.words) (\(shortage.missing.count) extents), which memory shard "
      + "\(away.joined(separator: "; ")) has: start it again with its directory. If that is lost, start the coordinator "
      + "with --forget-lost-rows: rows up to these are then computed from their number, and the result is another one."
  }

  /// That rows are lost, who had them as far as the newest durable ledger says, and what to do.
  func loss(of rows: Range<Int>) -> String {
    let holders = Set(shortage.lost.flatMap { extents[$0]?.durableHolders ?? [] }).sorted().prefix(8)
    let named = holders.map { "'\(shards[$0]?.name ?? "")' (\($0))" }.joined(separator: ", ")
    return "The memory's \(rows.words) are lost, \(shortage.lost.count) extents of them for good: no memory shard has "
      + "them any more\(holders.isEmpty ? "" : " (\(named) had them)"). A start with --forget-lost-rows computes all "
      + "rows below \(rows.upperBound) from their number instead, and goes on with another result."
  }
}

extension Range<Int> {
  /// Rows, for people.
  var words: String { "rows \(lowerBound) to \(upperBound - 1)" }
}
