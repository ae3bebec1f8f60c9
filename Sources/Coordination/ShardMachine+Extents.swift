import Messages

// MARK: - From the coordinator

extension ShardMachine {
  mutating func take(_ assignment: Assignment, _ effects: inout [ShardEffect]) {
    // One that was overtaken on the way says what is no longer so.
    guard isJoined, assignment.number >= self.assignment else { return }
    // Those that were heard need not be said again.
    let heard = min(UInt64(changes.count), assignment.heard - min(assignment.heard, firstChange))
    changes.removeFirst(Int(heard))
    firstChange += heard
    if assignment.number > self.assignment {
      self.assignment = assignment.number
      // A disk without room has none until a copy succeeds, or another one is tried.
      if !assignment.extents.isEmpty { (problem, isFull) = ("", false) }
    }
    for extent in assignment.removed where held[extent] != nil || damaged.contains(extent) {
      effects.append(.remove(extent))
    }
    effects.append(.copy(assignment.extents.filter { held[$0.extent.index] != $0.extent.mark }))
  }
}

// MARK: - From the threads

extension ShardMachine {
  mutating func take(_ progress: ExtentProgress, _ effects: inout [ShardEffect]) {
    switch progress {
    case .held(let extent):
      // Told twice, it happened once.
      guard held[extent.index] != extent.after else { return }
      damaged.remove(extent.index)
      (problem, isFull) = ("", false)
      held[extent.index] = extent.after
      changes.append(.held(extent))
      report(&effects)
    case .noRoom(let extent, let reason):
      problem = "no room for extent \(extent): \(reason)"
      isFull = true
      effects.append(.log(.error, "No room for extent \(extent): \(reason)"))
      report(&effects)
    case .notCopied(let extent, let reason):
      problem = "extent \(extent) could not be copied: \(reason)"
      let line = "Extent \(extent) could not be copied: \(reason)"
      if let said = failedCopies.note(line, number: UInt64(clamping: extent), at: now.sinceStart) {
        effects.append(.log(.warning, said))
      }
      report(&effects)
    case .removed(let extent):
      held[extent] = nil
      damaged.remove(extent)
      // The next report says so: there may be thousands.
      changes.append(.removed(extent))
    case .notRemoved(let extent, let reason):
      let line = "Extent \(extent) could not be removed: \(reason)"
      if let said = failedRemovals.note(line, number: UInt64(clamping: extent), at: now.sinceStart) {
        effects.append(.log(.error, said))
      }
    }
  }

  /// Says which extents turned out to be damaged since it was last said.
  mutating func take(damage extents: Set<Int>, _ effects: inout [ShardEffect]) {
    let found = extents.subtracting(damaged).sorted()
    guard !found.isEmpty else { return }
    damaged.formUnion(found)
    for extent in found { held[extent] = nil }
    changes += found.map { .damaged($0) }
    let named = found.prefix(8).map(String.init).joined(separator: ", ")
    let more = found.count > 8 ? " and \(found.count - 8) more, up to \(found[found.count - 1])," : ""
    effects.append(
      .log(
        .error,
        "Extents \(named)\(more) in \(settings.directory) are damaged: copied again from whoever has them."))
    report(&effects)
  }
}

// MARK: - To the coordinator

extension ShardMachine {
  /// Says what changed, and is the heartbeat.
  func report(_ effects: inout [ShardEffect]) {
    guard isJoined else { return }
    let report = ShardReport(
      first: firstChange, changes: Array(changes.prefix(WireLimits.extentsAssigned)), used: figures.used,
      capacity: settings.capacity, isFull: isFull, servedRows: figures.servedRows, servedBytes: figures.servedBytes,
      assignment: assignment, problem: problem)
    effects.append(.say(.report(report), as: contact.sender))
  }

  /// What was not said of each extent, now and then.
  mutating func sayWhatFailed(_ effects: inout [ShardEffect]) {
    if let line = failedCopies.rest(at: now.sinceStart) { effects.append(.log(.warning, line)) }
    if let line = failedRemovals.rest(at: now.sinceStart) { effects.append(.log(.error, line)) }
  }
}

// MARK: - Invariants

extension ShardMachine {
  /// Checks what holds between any two events; for tests and the simulator.
  public func checkInvariants() throws(CoordinationError) {
    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(CoordinationError) {
      if !condition { throw CoordinationError("memory shard \(settings.shard): \(message())") }
    }
    let both = damaged.filter { held[$0] != nil }
    try require(both.isEmpty, "extents \(both.sorted()) are held, and said to be damaged")
    try require(isInSession || !isJoined, "extents are taken without a session")
    try require(contact.isWelcome || !isInSession, "a session with a coordinator that does not know it")
    try require(!isJoined || run == contact.sender.run, "a session with another run than its rows are of")
  }
}
