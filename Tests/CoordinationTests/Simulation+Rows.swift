import Coordination
import MemoryBank
import Messages
import Numerics

/// Rows, wherever they are: on disks, and as workers read them.
extension Simulation {
  /// Rows as the coordinator has them or, where it let go of them, as a shard has them that its ledger names.
  func rowsOnDisks(_ numbers: Range<Int>) throws -> [Float] {
    guard memory != nil, let layout = coordinator.disk.layout, let store = coordinator.disk.rows else {
      return try coordinator.disk.read(numbers)
    }
    var floats: [Float] = []
    var number = numbers.lowerBound
    while number < numbers.upperBound {
      let extent = layout.index(of: number)
      let piece = number..<min(layout.rows(of: extent).upperBound, numbers.upperBound)
      floats +=
        store.areHere(Array(piece)).contains(false)
        ? SimulatedDisk.floats(try rowsElsewhere(extent), piece, layout) : try coordinator.disk.read(piece)
      number = piece.upperBound
    }
    return floats
  }

  /// All rows of an extent whose file is not the coordinator's.
  func rowsElsewhere(_ extent: Int) throws -> [Float] {
    if let layout = coordinator.disk.layout, let store = coordinator.disk.rows,
      let record = store.sealed.first(where: { $0.index == extent })
    {
      let holders = store.holders[extent] ?? []
      for shard in shards where holders.contains(shard.id.digest) && shard.holds(record) {
        return try shard.read(layout.rows(of: extent))
      }
    }
    throw SimulationError("extent \(extent) is on no disk that the ledger names")
  }

  /// The coordinator of this incarnation, if it runs: one that has lost its lock answers too.
  func coordinator(of incarnation: Incarnation) -> SimulatedCoordinator? {
    [coordinator, outlived].compactMap { $0 }.first {
      $0.disk.incarnation == incarnation.number && $0.machine != nil && $0.stoppedUntil <= time
    }
  }

  /// Reads every row of a lease's memory as its worker does, from whoever the coordinator's table names.
  /// - Returns: which are not to be had now; nil if all are there.
  mutating func absence(ofRowsFor job: SimulatedWorker.Job) -> String? {
    let lease = job.lease
    // What comes too late counts for nothing, whatever it is computed from.
    guard memory != nil, let layout, let giver = coordinator(of: job.incarnation), let machine = giver.machine,
      giver.version.step == lease.step, lease.rows > 0
    else { return nil }
    let window = giver.disk.stored(rows: lease.rows)
    let first = layout.index(of: window.lowerBound)
    let table = machine.holders(first: first, count: layout.index(of: lease.rows - 1) - first + 1)
    for extent in first...layout.index(of: lease.rows - 1) {
      let numbers = layout.rows(of: extent).clamped(to: window)
      let holders = extent - first < table.holders.count ? table.holders[extent - first] : []
      let found = holders.isEmpty ? serve(numbers, giver) : serve(numbers, holders.map { table.shards[$0] })
      guard let (floats, server) = found else { return "rows \(numbers) are away" }
      let right = giver.course[(numbers.lowerBound * Truth.width)..<(numbers.upperBound * Truth.width)]
      if floats != Array(right) { fail("rows \(numbers) are others on \(server)") }
    }
    return nil
  }

  private func serve(_ numbers: Range<Int>, _ giver: SimulatedCoordinator) -> (floats: [Float], server: String)? {
    (try? giver.disk.read(numbers)).map { ($0, "the coordinator") }
  }

  private func serve(_ numbers: Range<Int>, _ holders: [BulkAddress]) -> (floats: [Float], server: String)? {
    for address in holders {
      // What is damaged is found by reading it; its shard says so with its next word.
      guard let shard = shard(at: address), let floats = try? shard.read(numbers) else { continue }
      return (floats, "\(shard.id)")
    }
    return nil
  }

  /// The shard that answers at an address.
  func shard(at address: BulkAddress) -> SimulatedShard? {
    shards.first { $0.address == address && $0.process.answers(at: time) && $0.store != nil }
  }
}
