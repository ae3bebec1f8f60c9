import Coordination
import MemoryBank
import Messages

/// Copies of extents, from whoever has them into a shard's store or the coordinator's.
extension Simulation {
  enum CopyOutcome: Equatable {
    case held
    case noRoom(String)
    /// No source gave it whole.
    case failed
  }

  /// - Parameters:
  ///   - incarnation: of the coordinator whose rows count.
  ///   - begin: makes room for a copy.
  func copy(
    _ record: ExtentRecord, from sources: [ExtentSource], of incarnation: Incarnation,
    _ begin: (ExtentRecord) throws -> ExtentWriter
  ) -> CopyOutcome {
    for source in sources {
      guard let records = records(of: record.index, from: source, incarnation) else { continue }
      do {
        let writer = try begin(record)
        try writer.append(records: records)
        try writer.seal()
        return .held
      } catch is MemoryBankError {
        // Another source may do better.
      } catch {
        return .noRoom("\(error)")
      }
    }
    return .failed
  }

  private func records(of extent: Int, from source: ExtentSource, _ incarnation: Incarnation) -> [UInt8]? {
    guard let layout else { return nil }
    switch source {
    case .coordinator:
      return try? coordinator(of: incarnation)?.disk.rows?.records(extent: extent, first: 0, count: layout.capacity)
    case .shard(let address):
      return try? shard(at: address)?.store?.records(extent: extent, first: 0, count: layout.capacity)
    }
  }
}

// MARK: - A shard's thread that copies

extension Simulation {
  /// Calls of the disk that a copy takes, and a few more.
  private static let callsOfACopy: UInt64 = 12

  /// Copies these from now on; the one under way goes on if it is still among them.
  mutating func copy(_ extents: [AssignedExtent], _ index: Int) {
    let (held, damaged) = (shards[index].store?.held ?? [:], shards[index].store?.damaged ?? [])
    let there = extents.filter { held[$0.extent.index] == $0.extent.mark && !damaged.contains($0.extent.index) }
    var extents = extents.filter { new in !there.contains { $0.extent == new.extent } }
    let underWay = shards[index].wanted.first?.extent
    if bug == .reportsCopiesEarly {
      extents =
        shards[index].wanted + extents.filter { new in !shards[index].wanted.contains { $0.extent == new.extent } }
    }
    if let place = extents.firstIndex(where: { $0.extent == underWay }) {
      extents.swapAt(0, place)
      shards[index].wanted = extents
    } else {
      shards[index].wanted = extents
      beginCopy(index)
    }
    // Copied as this was assigned: its end waits to be told, or could not be.
    for extent in bug == .reportsCopiesEarly ? extents.map(\.extent) + there.map(\.extent) : there.map(\.extent) {
      tell(.extent(.held(HeldExtent(index: extent.index, after: extent.mark))), shard: index)
    }
  }

  private mutating func beginCopy(_ index: Int) {
    shards[index].copyNumber += 1
    guard !shards[index].wanted.isEmpty else { return }
    let longest = (shards[index].slowUntil > time ? 40 : 2) * Self.second
    schedule(
      .copied(index, life: shards[index].process.life, number: shards[index].copyNumber),
      in: random.next(below: longest))
  }

  mutating func copied(_ number: Int, _ index: Int) {
    guard number == shards[index].copyNumber else { return }
    let progress = endCopy(index)
    beginCopy(index)
    tell(.extent(progress), shard: index)
  }

  /// Ends the copy under way.
  private mutating func endCopy(_ index: Int) -> ExtentProgress {
    let assigned = shards[index].wanted.removeFirst()
    let extent = assigned.extent.index
    guard let store = shards[index].store else { return .notCopied(extent, reason: "it serves no run") }
    guard shards[index].process.answers(at: time) else { return .notCopied(extent, reason: "nobody answers") }
    let isFull = shards[index].fullUntil > time
    if isFull { shards[index].storage.failOperation(after: Int(random.next(below: 6)), number: 28) }
    let outcome = copy(ExtentRecord(assigned.extent), from: assigned.sources, of: shards[index].joined) {
      try store.begin($0)
    }
    if isFull { shards[index].storage.failOperation(after: Int.max / 2) }
    switch outcome {
    case .held:
      note("copies")
      shards[index].spoilt.remove(extent)
      return .held(HeldExtent(index: extent, after: assigned.extent.mark))
    case .noRoom(let reason):
      if !isFull { fail("\(shards[index].id) has no room: \(reason)") }
      note("shardsFull")
      return .noRoom(extent, reason: reason)
    case .failed:
      note("failedCopies")
      return .notCopied(extent, reason: "nobody has it")
    }
  }

  /// The session is over. A copy under way is given up or, if that comes too late, ends and is told of after it.
  mutating func leave(_ index: Int) {
    if !shards[index].wanted.isEmpty, random.chance(0.5) {
      note("lateCopies")
      let progress = endCopy(index)
      let latest = (shards[index].slowUntil > time ? 40 : 2) * Self.second
      schedule(.extentEnded(index, life: shards[index].process.life, progress), in: random.next(below: latest))
    }
    shards[index].leave()
  }

  /// What a copy came to is told late: what was removed since is not there again.
  mutating func extentEnded(_ progress: ExtentProgress, _ index: Int) {
    if case .held(let extent) = progress, shards[index].store?.held[extent.index] != extent.after { return }
    tell(.extent(progress), shard: index)
  }

  /// The process dies in the middle of a copy.
  mutating func tearCopy(_ index: Int) {
    guard let assigned = shards[index].wanted.first, let store = shards[index].store else { return }
    note("tornCopies")
    shards[index].storage.cutPower(after: Int(random.next(below: Self.callsOfACopy)))
    _ = copy(ExtentRecord(assigned.extent), from: assigned.sources, of: shards[index].joined) { try store.begin($0) }
  }
}
