import MemoryBank
import Messages
import Numerics
import Services
import Testing
import Training

@Suite("A worker's memory rows", .timeLimit(.minutes(10))) struct WorkerRowsTests {
  /// Every row that is served is full of its own number.
  /// - Parameter shard: said to hold all extents.
  private static func coordinator(_ definition: RunDefinition, shard: BulkAddress? = nil) throws -> ScriptedCoordinator
  {
    try ScriptedCoordinator { request in
      if let shard, case .holders(let first, let count) = request {
        let holders = [[Int]](repeating: [0], count: count)
        return (.holders(HolderTable(version: 1, first: first, shards: [shard], holders: holders)), nil)
      }
      guard case .rows(let asked) = request else { return nil }
      let step = asked.version.step
      let blocks = definition.blockDraw(of: MemoryVersion(step: step, rows: definition.configuration.batchSize * step))
      let wanted = asked.positions.enumerated()
        .filter { asked.missing[$0.offset / 8] >> UInt8($0.offset % 8) & 1 == 1 }
        .map { blocks.row(block: asked.block, position: $0.element) }
      let width = definition.configuration.bottleneckDim
      let size = width * definition.rowType.bytes
      var rows = [UInt8](repeating: 0, count: wanted.count * size)
      rows.withUnsafeMutableBytes { rows in
        for (index, number) in wanted.enumerated() {
          definition.rowType.store(
            FloatBuffer([Float](repeating: Float(number), count: width)).vector,
            into: UnsafeMutableRawBufferPointer(rebasing: rows[(index * size)..<((index + 1) * size)]))
        }
      }
      return (.rows(step: step, block: asked.block, first: asked.positions.lowerBound), .bytes(rows))
    }
  }

  private static func asked(_ requests: [BulkRequest]) -> Int {
    requests.reduce(0) { count, request in
      guard case .rows(let asked) = request else { return count }
      return count + asked.missing.reduce(0) { $0 + $1.nonzeroBitCount }
    }
  }

  @Test("They cross the wire once, and outlive the coordinator but for those it enqueues again") func areKept() throws {
    // 12 rows of 16 are stored at step 2, all 16 from step 3 on.
    let definition = try ScriptedCoordinator().definition
    let coordinator = try Self.coordinator(definition)
    let bulk = try coordinator.client()
    defer { bulk.stop() }
    let rows = WorkerRows(definition: definition, bytes: 1 << 20, incarnation: Incarnation(1))
    let memory = FloatBuffer(count: 16 * 16)
    func gather(step: Int, _ incarnation: UInt64) throws -> Int {
      let blocks = definition.blockDraw(of: MemoryVersion(step: step, rows: 6 * step))
      let gathered = try rows.gather(
        MemoryVersion(step: step, rows: 6 * step), below: 6 * step, in: Incarnation(incarnation),
        from: Self.holders(definition, bulk), into: memory)
      #expect(gathered.missing.allSatisfy { $0.allSatisfy { $0 == 0 } })
      for block in 0..<2 {
        for position in 0..<8 where !blocks.window.isSeeded(blocks.row(block: block, position: position)) {
          #expect(memory[(block * 8 + position) * 16 + 5] == Float(blocks.row(block: block, position: position)))
        }
      }
      return Self.asked(coordinator.takeAsked())
    }
    #expect(try gather(step: 2, 1) == 12)
    #expect(try gather(step: 2, 1) == 0)
    #expect(try gather(step: 3, 1) == 6)
    #expect(try gather(step: 4, 1) == 6)
    // It resumes at step 3, with 18 rows: those from 18 on go, those that fell out of the window since come again.
    rows.begin(Incarnation(2), rows: 18)
    #expect(throws: WorkerError.outdated) { try gather(step: 4, 1) }
    #expect(try gather(step: 4, 2) == 6)
    #expect(try gather(step: 4, 2) == 0)
  }

  @Test("Rows that were forgotten are computed, by whoever had kept them too") func areForgotten() throws {
    let definition = try ScriptedCoordinator().definition
    let coordinator = try Self.coordinator(definition)
    let bulk = try coordinator.client()
    defer { bulk.stop() }
    let (memory, expected) = (FloatBuffer(count: 16 * 16), FloatBuffer(count: 16))
    let rows = WorkerRows(definition: definition, bytes: 1 << 20, incarnation: Incarnation(1))
    for floor in [0, 10] {
      let version = MemoryVersion(step: 3, rows: 18, floor: floor)
      _ = try rows.gather(
        version, below: 18, in: Incarnation(1), from: Self.holders(definition, bulk), into: memory)
      #expect(Self.asked(coordinator.takeAsked()) == (floor == 0 ? 16 : 0))
      let blocks = definition.blockDraw(of: version)
      for place in 0..<16 {
        let row = blocks.row(block: place / 8, position: place % 8)
        definition.seededRows.write(row: row, into: expected.vector)
        #expect(memory[place * 16 + 5] == (row < floor ? expected[5] : Float(row)), "row \(row), floor \(floor)")
      }
    }
  }

  @Test("Their bound in bytes is held to: with room for four, the others come again") func areBounded() throws {
    let definition = try ScriptedCoordinator().definition
    let coordinator = try Self.coordinator(definition)
    let bulk = try coordinator.client()
    defer { bulk.stop() }
    let rows = WorkerRows(definition: definition, bytes: 4 * (16 * 4 + 24), incarnation: Incarnation(1))
    for expected in [16, 12] {
      _ = try rows.gather(
        MemoryVersion(step: 3, rows: 18), below: 18, in: Incarnation(1), from: Self.holders(definition, bulk),
        into: FloatBuffer(count: 16 * 16))
      #expect(Self.asked(coordinator.takeAsked()) == expected)
    }
  }

  @Test("What was here and what had to come are counted, seeded rows as neither") func areCounted() throws {
    // 12 rows of 16 are stored at step 2, all 16 from step 3 on, 6 of them new.
    let definition = try ScriptedCoordinator().definition
    let coordinator = try Self.coordinator(definition)
    let bulk = try coordinator.client()
    defer { bulk.stop() }
    let rows = WorkerRows(definition: definition, bytes: 1 << 20, incarnation: Incarnation(1))
    for (step, expected) in [
      (2, StepTraffic(cached: 0, fetched: 12)), (2, StepTraffic(cached: 12, fetched: 0)),
      (3, StepTraffic(cached: 10, fetched: 6)),
    ] {
      let gathered = try rows.gather(
        MemoryVersion(step: step, rows: 6 * step), below: 6 * step, in: Incarnation(1),
        from: Self.holders(definition, bulk),
        into: FloatBuffer(count: 16 * 16))
      #expect(gathered.traffic == expected)
    }
  }

  @Test("Ahead of a step all are gathered but those that are not enqueued yet, and these when they are")
  func comeAhead() throws {
    let definition = try ScriptedCoordinator().definition
    let coordinator = try Self.coordinator(definition)
    let bulk = try coordinator.client()
    defer { bulk.stop() }
    let rows = WorkerRows(definition: definition, bytes: 0, incarnation: Incarnation(1))
    let holders = Self.holders(definition, bulk)
    let memory = FloatBuffer(count: 16 * 16)
    var gathered = try rows.gather(
      MemoryVersion(step: 3, rows: 18), below: 12, in: Incarnation(1), from: holders, into: memory)
    #expect(Self.asked(coordinator.takeAsked()) == 10)
    try rows.complete(&gathered, in: Incarnation(1), from: holders)
    #expect(gathered.traffic == StepTraffic(cached: 0, fetched: 16))
    #expect(Self.asked(coordinator.takeAsked()) == 6)
    let blocks = definition.blockDraw(of: MemoryVersion(step: 3, rows: 18))
    for block in 0..<2 {
      for position in 0..<8 {
        #expect(memory[(block * 8 + position) * 16 + 5] == Float(blocks.row(block: block, position: position)))
      }
    }
  }

  @Test("Where the new rows are here nobody is asked for them, with a cache that keeps them for later or without one")
  func newRowsMayComeOtherwise() throws {
    for (rowType, bytes) in [(RowType.fp32, 0), (.fp32, 1 << 20), (.fp16, 0), (.fp16, 1 << 20)] {
      let definition = try ScriptedCoordinator(keys: ["memory_dtype": rowType.rawValue]).definition
      let coordinator = try Self.coordinator(definition)
      let bulk = try coordinator.client()
      defer { bulk.stop() }
      let rows = WorkerRows(definition: definition, bytes: bytes, incarnation: Incarnation(1))
      let holders = Self.holders(definition, bulk)
      let memory = FloatBuffer(count: 16 * 16)
      // Six of them, each full of its number.
      let numbers = (12..<18).map { FloatBuffer([Float](repeating: Float($0), count: 16)) }
      let stored = FloatBuffer(count: definition.newRowFloats)
      let size = 16 * rowType.bytes
      #expect(stored.count == 6 * size / 4)
      stored.withMutableBytes(of: 0..<stored.count) { bytes in
        for (index, row) in numbers.enumerated() {
          rowType.store(
            row.vector, into: UnsafeMutableRawBufferPointer(rebasing: bytes[(index * size)..<((index + 1) * size)]))
        }
      }
      var gathered = try rows.gather(
        MemoryVersion(step: 3, rows: 18), below: 12, in: Incarnation(1), from: holders, into: memory)
      #expect(Self.asked(coordinator.takeAsked()) == 10)
      try rows.complete(
        &gathered, with: NewRows(numbers: 12..<18, stored: stored), in: Incarnation(1), from: holders)
      #expect(Self.asked(coordinator.takeAsked()) == 0)
      #expect(gathered.missing.allSatisfy { $0.allSatisfy { $0 == 0 } })
      #expect(gathered.traffic == StepTraffic(cached: 0, fetched: 16))
      let blocks = definition.blockDraw(of: MemoryVersion(step: 3, rows: 18))
      for place in 0..<16 {
        #expect(memory[place * 16 + 5] == Float(blocks.row(block: place / 8, position: place % 8)))
      }
      // Of step 4's rows 10 were there before.
      _ = try rows.gather(
        MemoryVersion(step: 4, rows: 24), below: 24, in: Incarnation(1), from: holders, into: memory)
      #expect(Self.asked(coordinator.takeAsked()) == (bytes == 0 ? 16 : 6))
    }
  }

  @Test("A holder that does not answer in time is passed by: another one's rows count") func areHedged() throws {
    let definition = try ScriptedCoordinator().definition
    let silent = try ScriptedCoordinator()
    let other = try Self.coordinator(definition)
    let table = HolderTable(
      version: 1, first: 0,
      shards: [1, 2].map { BulkAddress(endpoint: try! Endpoint("tcp://127.0.0.1:\($0)")) },
      holders: [[0, 1]])
    let coordinator = try ScriptedCoordinator { request in
      if case .holders = request { (.holders(table), nil) } else { nil }
    }
    let clients = try [coordinator, silent, other].map { try $0.client() }
    defer { for client in clients { client.stop() } }
    // Whoever is asked first: each of two workers begins with another holder.
    for peer in [PeerID(rawValue: 2), PeerID(rawValue: 4)] {
      let holders = RowHolders(layout: definition.extentLayout(run: SmallRun.probe), peer: peer) { source in
        if case .shard(let address) = source { clients[address.endpoint.port] } else { clients[0] }
      }
      try holders.bring(to: 1, rows: 2..<18)
      let memory = FloatBuffer(count: 16 * 16)
      let begun = ContinuousClock.now
      _ = try WorkerRows(definition: definition, bytes: 0, incarnation: Incarnation(1)).gather(
        MemoryVersion(step: 3, rows: 18), below: 18, in: Incarnation(1), from: holders, into: memory)
      #expect(ContinuousClock.now - begun < .seconds(10), "without another holder it takes 20 s to find out")
      let blocks = definition.blockDraw(of: MemoryVersion(step: 3, rows: 18))
      #expect(memory[5] == Float(blocks.row(block: 0, position: 0)))
    }
    #expect(Self.asked(silent.takeAsked()) == 16, "one of the two asked it first")
  }

  @Test("A shard that does not answer is named, its rows come from the coordinator, and it is asked last for a while")
  func comeFromOthers() throws {
    let definition = try ScriptedCoordinator().definition
    // Where nobody listens.
    let shard = BulkAddress(endpoint: try Endpoint("tcp://127.0.0.1:9"))
    let coordinator = try Self.coordinator(definition, shard: shard)
    let (bulk, silent) = (try coordinator.client(), try coordinator.client(of: shard.endpoint))
    defer {
      bulk.stop()
      silent.stop()
    }
    let book = LogBook()
    let holders = RowHolders(layout: definition.extentLayout(run: SmallRun.probe), peer: .random(), log: book.log) {
      if case .coordinator = $0 { bulk } else { silent }
    }
    try holders.bring(to: 1, rows: 0..<18)
    let rows = WorkerRows(definition: definition, bytes: 0, incarnation: Incarnation(1))
    let memory = FloatBuffer(count: 16 * 16)
    let times = try (0..<2).map { _ in
      try ContinuousClock().measure {
        _ = try rows.gather(
          MemoryVersion(step: 3, rows: 18), below: 18, in: Incarnation(1), from: holders, into: memory)
      }
    }
    #expect(times[0] > .milliseconds(400) && times[1] < .milliseconds(400), "\(times)")
    #expect(book.lines.count == 1 && book.lines[0].contains("The memory shard at tcp://127.0.0.1:9 does not answer"))
    #expect(Self.asked(coordinator.takeAsked()) == 32)
  }

  private static func holders(_ definition: RunDefinition, _ bulk: BulkClient) -> RowHolders {
    RowHolders(layout: definition.extentLayout(run: SmallRun.probe), peer: PeerID.random()) { _ in bulk }
  }
}
