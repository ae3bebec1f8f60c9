import Messages
import Numerics

// MARK: - What shards say

extension Coordinator {
  /// Checks who says it before what is said.
  mutating func receive(_ message: ShardMessage, from sender: Sender, _ effects: inout [Effect]) {
    guard !offenders.isIgnored(sender.peer) else { return }
    if case .hello(let hello) = message { return greet(hello, from: sender, &effects) }
    if board?.wasDrained(sender.peer) ?? false {
      if case .report = message { effects.append(.send(.finished, to: sender.peer)) }
      return
    }
    let known = board?.shard(of: sender.peer)
    guard let known, sender.run == settings.run, sender.incarnation == settings.incarnation else {
      if case .goodbye = message { return }
      return refuse(
        sender.peer,
        strangeness(of: sender)
          ?? Refusal(reason: .unknownPeer, text: "The coordinator does not know this memory shard: say hello."),
        &effects)
    }
    switch message {
    case .hello: break  // handled above
    case .report(let report) where report.first > known.reported.changes:
      // What it has since the hello that was heard was said to another incarnation, and is not said again.
      refuse(
        sender.peer,
        Refusal(
          reason: .unknownPeer,
          text: "The coordinator heard an older hello of this memory shard than its last one: say hello."), &effects)
    case .report(let report):
      let (time, start) = (now, effects.count)
      board?.hear(report, of: known.id, at: time, &effects)
      limitLines(from: start, .shards, &effects)
      if case .leaving = phase { return effects.append(.send(.finished, to: sender.peer)) }
      board?.assign(known.id, &effects)
    case .goodbye:
      log(
        .info, .shards, about: sender.peer,
        "Memory shard '\(known.name)' leaves, with \(known.reported.held.count) extents.", &effects)
      board?.leave(known.id)
    }
  }

  private mutating func greet(_ hello: ShardHello, from sender: Sender, _ effects: inout [Effect]) {
    if let refusal = refusal(of: hello, from: sender) {
      log(
        .warning, .refusals, about: sender.peer,
        "Refused memory shard '\(shortened(hello.name))': \(refusal.text)", &effects)
      return refuse(sender.peer, refusal, &effects)
    }
    if board?.wasDrained(sender.peer) ?? false { return effects.append(.send(.finished, to: sender.peer)) }
    let time = now
    if board?.join(hello, as: sender.peer, at: time) ?? false {
      effects.append(
        .log(
          .info,
          "Memory shard '\(hello.name)' (\(hello.shard)) joins with \(hello.held.count) extents, at "
            + "\(hello.address.endpoint)."))
    }
    effects.append(
      .send(
        .shardWelcome(
          ShardWelcome(
            configuration: settings.welcome.configuration, bulkPort: settings.welcome.bulkPort,
            rows: settings.welcome.rows)), to: sender.peer))
    if case .leaving = phase { return effects.append(.send(.finished, to: sender.peer)) }
    board?.assign(hello.shard, &effects)
  }

  private func refusal(of hello: ShardHello, from sender: Sender) -> Refusal? {
    if sender.run != RunIdentity(high: 0, low: 0), let refusal = strangeness(of: sender) { return refusal }
    let spoken = settings.compatibility.protocolVersion
    if hello.protocolVersion != spoken {
      let older = hello.protocolVersion < spoken ? "memory shard" : "coordinator"
      return Refusal(
        reason: .protocolVersion,
        text: "The memory shard speaks protocol \(hello.protocolVersion), the coordinator "
          + "\(spoken): update the \(older).")
    }
    guard let board else {
      return Refusal(reason: .otherRun, text: "This run keeps its memory in the coordinator.")
    }
    if board.isDuplicate(hello, from: sender.peer, at: now) {
      return Refusal(
        reason: .duplicateShard,
        text: "Another process is memory shard \(hello.shard) too: two shards on one directory, or on a copy of it. "
          + "Stop one; a new shard begins with an empty directory.")
    }
    if board.shards[hello.shard] == nil, board.shards.count >= WireLimits.shards {
      return Refusal(
        reason: .tooManyPeers, text: "The run has \(WireLimits.shards) memory shards, and takes no more.")
    }
    return nil
  }

  /// Another run's, or a newer incarnation's.
  private func strangeness(of sender: Sender) -> Refusal? {
    if sender.run != settings.run {
      return Refusal(
        reason: .otherRun,
        text: "This memory shard has rows of another run than the one at this address: check --coordinator and "
          + "--directory.")
    }
    return sender.incarnation > settings.incarnation ? outdated(by: sender) : nil
  }
}

// MARK: - What the memory lacks

extension Coordinator {
  /// The rows of the step's memory that are stored, not seeded.
  var storedWindow: Range<Int> {
    let size = settings.memory?.size ?? 0
    return min(max(version.rows - size, version.memoryFloor), version.rows)..<version.rows
  }

  /// Whether rows that the step needs are not to be had: then no lease is given.
  var isWaitingForRows: Bool { !(board?.shortage.missing.isEmpty ?? true) }

  mutating func planMemory(_ effects: inout [Effect]) {
    let (time, window) = (now, storedWindow)
    board?.reconcile(at: time, window: window, &effects)
    guard phase == .computing, let board, let rows = board.missingRows else { return }
    let shortage = board.shortage
    let forgets = settings.memory?.forgetsLostRows ?? false
    let isFresh = leases.isEmpty && current.acceptedNodes.isEmpty
    if forgets, isFresh, now - board.begun >= CoordinationLimits.forgetting || shortage.missing == shortage.lost {
      let floor = min(rows.upperBound, version.rows)
      effects.append(
        .log(
          .warning,
          "Of the memory's \(rows.words) \(shortage.missing.count) extents are nowhere: rows below \(floor) are "
            + "forgotten, and computed from their number from step \(step) on. The result is another one than without "
            + "that loss."))
      version.memoryFloor = floor
      effects.append(.raiseFloor(to: floor))
      let window = storedWindow
      self.board?.windowMoved()
      self.board?.reconcile(at: time, window: window, &effects)
    } else if !shortage.lost.isEmpty, !forgets {
      conclude(with: .permanent(board.loss(of: rows)), &effects)
    } else if self.board?.complains(at: time) ?? false {
      effects.append(.log(.warning, board.waiting(for: rows, at: now)))
    }
  }
}
