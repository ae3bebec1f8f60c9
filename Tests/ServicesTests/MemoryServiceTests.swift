import Durability
import Foundation
import MemoryBank
import Messages
import Numerics
import Runs
import Services
import Synchronization
import TestSupport
import Testing
import Threads
import Training
import Wire

@Suite("A memory shard", .timeLimit(.minutes(10))) struct MemoryServiceTests {
  private let folder = NSTemporaryDirectory() + "massl-shard-" + UUID().uuidString

  /// The first extent of a run, as a coordinator has it.
  private struct Source {
    let rows: RowStore
    var extent: ExtentIdentity { ExtentIdentity(index: 0, before: rows.sealed[0].before, after: rows.sealed[0].after) }

    init(_ layout: ExtentLayout, in directory: String) throws {
      rows = try RowStore(
        storage: FileStorage(), directory: directory, layout: layout, window: MemoryWindow(size: 16, rows: 0),
        digest: MemoryDigest())
      let floats = FloatBuffer((0..<layout.capacity * layout.width).map { Float($0) })
      try rows.append(floats.matrix(rows: layout.capacity, columns: layout.width))
      try rows.flush()
    }
  }

  /// A coordinator, and the rows that it gives to whoever copies.
  private func coordinatorWithRows(_ keys: [String: String]) throws -> (ScriptedCoordinator, Source) {
    let source = Mutex<Source?>(nil)
    let coordinator = try ScriptedCoordinator(keys: keys) { request in
      guard case .records(let extent, let first, let count) = request,
        let records = try? source.withLock({ try $0?.rows.records(extent: extent, first: first, count: count) })
      else { return nil }
      return (.records(extent: extent, first: first), .bytes(records))
    }
    let whole = try Source(coordinator.layout, in: folder + "/source")
    source.withLock { $0 = whole }
    return (coordinator, whole)
  }

  private func options(_ coordinator: ScriptedCoordinator, listen: Endpoint, capacity: Int) -> MemoryOptions {
    MemoryOptions(
      coordinator: coordinator.control.endpoint, directory: folder + "/shard", capacity: capacity, listen: listen,
      name: "test", security: .none(.loopback), serving: .none(.loopback))
  }

  /// Starts a shard; the queue has how it ended.
  private func start(
    _ coordinator: ScriptedCoordinator, listen: Endpoint, capacity: Int = 4 << 20, _ book: LogBook
  ) throws -> (MemoryService, BoundedQueue<MemoryService.Outcome>) {
    let shard = try MemoryService(options(coordinator, listen: listen, capacity: capacity), log: book.log)
    let ended = BoundedQueue<MemoryService.Outcome>(capacity: 1)
    startThread(named: "shard") {
      if let outcome = try? shard.run() { ended.append(outcome) }
      ended.close()
    }
    return (shard, ended)
  }

  private func change(
    _ coordinator: ScriptedCoordinator, _ location: SourceLocation = #_sourceLocation
  ) throws -> ExtentChange {
    try coordinator.nextOfShard(location) { if case .report(let report) = $0 { report.changes.last } else { nil } }
      .value
  }

  /// Passes over reports until one ends with this.
  private func wait(
    for change: ExtentChange, _ coordinator: ScriptedCoordinator, _ location: SourceLocation = #_sourceLocation
  ) throws {
    _ = try coordinator.nextOfShard(location) {
      if case .report(let report) = $0, report.changes.last == change { true } else { nil }
    }
  }

  @Test("Damage that a request meets is said, served no further and mended, and the shard goes on") func damage() throws
  {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (coordinator, whole) = try coordinatorWithRows(["extent_rows": "8"])
    let held = HeldExtent(index: 0, after: whole.rows.sealed[0].mark)
    // What holds a service ends with this call.
    let first = try meetsDamage(coordinator, whole, held)

    // 5. Once it ended, the next one has its address, its directory and its rows, and serves them though its disk has
    // less room now than it offers.
    let book = LogBook()
    let (again, ended) = try oncePortIsFree {
      try start(coordinator, listen: first.address.endpoint, capacity: 1 << 60, book)
    }
    #expect(book.lines.contains { $0.hasSuffix("Until then it serves what it has.") }, "\(book.lines)")
    let second = try coordinator.nextOfShard { if case .hello(let hello) = $0 { hello } else { nil } }.value
    #expect(second.shard == first.shard && second.held == [held] && second.address == first.address)
    #expect(second.capacity > 0 && second.capacity < 1 << 60, "\(second.capacity)")
    again.requestStop()
    #expect(try ended.handedOver() == .stopped)
  }

  @Test("One without rows offers no more than its disk has room for") func tooMuch() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (coordinator, _) = try coordinatorWithRows([:])
    #expect(throws: MemoryError.self) {
      try start(coordinator, listen: Endpoint("tcp://127.0.0.1:0"), capacity: 1 << 60, LogBook())
    }
  }

  @Test("It copies no faster than memory_copy_rate") func rate() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // 576 bytes at a kilobyte a second.
    let (coordinator, whole) = try coordinatorWithRows(["extent_rows": "8", "memory_copy_rate": "1000"])
    let (shard, ended) = try start(coordinator, listen: Endpoint("tcp://127.0.0.1:0"), LogBook())
    let sender = try coordinator.nextOfShard { if case .hello(let hello) = $0 { hello } else { nil } }.from
    try coordinator.welcomeShard(sender.peer)
    let assigned = AssignedExtent(extent: whole.extent, sources: [.coordinator])
    let took = try ContinuousClock().measure {
      try coordinator.say(.assignment(Assignment(number: 1, heard: 0, extents: [assigned])), to: sender.peer)
      #expect(try change(coordinator) == .held(HeldExtent(index: 0, after: whole.rows.sealed[0].mark)))
    }
    #expect(took > .milliseconds(550), "\(took)")
    shard.requestStop()
    #expect(try ended.handedOver() == .stopped)
  }

  /// - Returns: the shard's hello.
  private func meetsDamage(
    _ coordinator: ScriptedCoordinator, _ whole: Source, _ held: HeldExtent
  ) throws -> ShardHello {
    let assigned = AssignedExtent(extent: whole.extent, sources: [.coordinator])
    let book = LogBook()
    let (shard, ended) = try start(coordinator, listen: Endpoint("tcp://127.0.0.1:0"), book)

    // 1. It copies what it should hold.
    let (hello, sender) = try coordinator.nextOfShard { if case .hello(let hello) = $0 { hello } else { nil } }
    #expect(hello.held.isEmpty && hello.address.endpoint == shard.endpoint)
    try coordinator.welcomeShard(sender.peer)
    try coordinator.say(.assignment(Assignment(number: 1, heard: 0, extents: [assigned])), to: sender.peer)
    #expect(try change(coordinator) == .held(held))

    // 2. A bit of row 3 turns.
    let path = folder + "/shard/rows-000000000000"
    let file = try FileStorage().open(path, .updating)
    var byte = [UInt8](repeating: 0, count: 1)
    let place = 64 + 3 * coordinator.layout.recordSize
    try byte.withUnsafeMutableBytes { try file.read(at: place, into: $0) }
    byte[0] ^= 1
    try byte.withUnsafeBytes { try file.write($0, at: place) }
    let client = try coordinator.client(of: shard.endpoint)
    defer { client.stop() }
    let damage = "\(MemoryBankError.damagedRow(file: path, row: 3))"
    #expect(throws: BulkError.refused(by: shard.endpoint, reason: damage)) {
      _ = try client.ask(.records(extent: 0, first: 0, count: 8))
    }
    #expect(try change(coordinator) == .damaged(0))
    #expect(book.waits(for: "Extents 0 in \(folder)/shard are damaged"))

    // 3. To a coordinator that does not know it, it does not claim to have it.
    let unknown = Refusal(reason: .unknownPeer, text: "Who are you?")
    try coordinator.say(.refusal(unknown), to: sender.peer)
    let again = try coordinator.nextOfShard { if case .hello(let hello) = $0 { hello } else { nil } }.value
    #expect(again.held.isEmpty)
    try coordinator.welcomeShard(sender.peer)
    try wait(for: .damaged(0), coordinator)

    // 4. It is told again, and has it whole again.
    try coordinator.say(.assignment(Assignment(number: 2, heard: 2, extents: [assigned])), to: sender.peer)
    try wait(for: .held(held), coordinator)
    #expect(try client.ask(.records(extent: 0, first: 0, count: 8)).bulk?.count == 8 * coordinator.layout.recordSize)

    shard.requestStop()
    #expect(try ended.handedOver() == .stopped)
    return hello
  }

  /// It needs the process for itself: memory that other tests take would count as the shard's, and a thousand connections
  /// take from them what they wait for. `make test` runs it by itself, with MASSL_ALONE.
  @Test(
    "Its memory is bounded, however many ask and do not read, and it goes on with those who do",
    .enabled(if: ProcessInfo.processInfo.environment["MASSL_ALONE"] != nil))
  func askersThatDoNotRead() throws {
    // Both ends of every connection are this process's.
    let askersCount = 1_000
    try ThisProcess.allowDescriptors(2 * askersCount + 500)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (coordinator, whole) = try coordinatorWithRows(["extent_rows": "16384"])
    let (shard, ended) = try start(coordinator, listen: Endpoint("tcp://127.0.0.1:0"), LogBook())
    let sender = try coordinator.nextOfShard { if case .hello(let hello) = $0 { hello } else { nil } }.from
    try coordinator.welcomeShard(sender.peer)
    let assigned = AssignedExtent(extent: whole.extent, sources: [.coordinator])
    try coordinator.say(.assignment(Assignment(number: 1, heard: 0, extents: [assigned])), to: sender.peer)
    _ = try change(coordinator)

    // A frame of 1 MiB each, for 1,000 askers with as many requests as a worker has under way: 8 GiB.
    let before = try ThisProcess.residentBytes()
    let count = WireLimits.bulkBytes / coordinator.layout.recordSize
    var askers: [RawPeer] = []
    for _ in 0..<askersCount {
      let (peer, asker) = (PeerID.random(), try RawPeer(to: shard.endpoint, receiveBuffer: 64 << 10))
      asker.shakeHands(as: peer)
      let identity = Sender(run: coordinator.run, incarnation: Incarnation(1), peer: peer)
      for exchange in 1...8 as ClosedRange<UInt64> {
        let request = Message.bulkRequest(.records(extent: 0, first: 0, count: count))
        asker.send(frame: Envelope(sender: identity, message: request, exchange: exchange).encoded())
      }
      askers.append(asker)
    }
    // Until it grows no more.
    var (most, since) = (0, Date())
    while Date().timeIntervalSince(since) < 1, most < 2 << 30 {
      Thread.sleep(forTimeInterval: 0.02)
      let grown = try ThisProcess.residentBytes() - before
      if grown > most + (1 << 20) { (most, since) = (grown, Date()) }
    }
    #expect(most < 450 << 20, "\(most >> 20) MiB")
    // All room is taken, and whoever reads is served.
    let client = try coordinator.client(of: shard.endpoint)
    defer { client.stop() }
    #expect(
      try client.ask(.records(extent: 0, first: 0, count: count)).bulk?.count == count * whole.rows.layout.recordSize)
    shard.requestStop()
    #expect(try ended.handedOver() == .stopped)
    withExtendedLifetime(askers) {}
  }

  @Test("One that asks for much and does not read keeps nobody waiting, and is named once")
  func oneAskerThatDoesNotRead() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let book = LogBook()
    let (coordinator, whole) = try coordinatorWithRows(["extent_rows": "16384"])
    let (shard, ended) = try start(coordinator, listen: Endpoint("tcp://127.0.0.1:0"), book)
    let sender = try coordinator.nextOfShard { if case .hello(let hello) = $0 { hello } else { nil } }.from
    try coordinator.welcomeShard(sender.peer)
    let assigned = AssignedExtent(extent: whole.extent, sources: [.coordinator])
    try coordinator.say(.assignment(Assignment(number: 1, heard: 0, extents: [assigned])), to: sender.peer)
    _ = try change(coordinator)

    let count = WireLimits.bulkBytes / coordinator.layout.recordSize
    let (peer, asker) = (PeerID.random(), try RawPeer(to: shard.endpoint, receiveBuffer: 64 << 10))
    asker.shakeHands(as: peer)
    let identity = Sender(run: coordinator.run, incarnation: Incarnation(1), peer: peer)
    for exchange in 1...400 as ClosedRange<UInt64> {
      let request = Message.bulkRequest(.records(extent: 0, first: 0, count: count))
      asker.send(frame: Envelope(sender: identity, message: request, exchange: exchange).encoded())
    }
    let client = try coordinator.client(of: shard.endpoint)
    defer { client.stop() }
    // Before and after it is known for what it is.
    for _ in 0..<2 {
      var answers = 0
      try client.ask(Array(repeating: .records(extent: 0, first: 0, count: count), count: 100)) { _, _, frame in
        answers += frame?.count == count * whole.rows.layout.recordSize ? 1 : 0
      }
      #expect(answers == 100)
      #expect(book.waits(for: "\(peer) at 127.0.0.1:"))
    }
    #expect(book.lines.filter { $0.contains("does not read what it asked for") }.count == 1, "\(book.lines)")
    shard.requestStop()
    #expect(try ended.handedOver() == .stopped)
    withExtendedLifetime(asker) {}
  }
}
