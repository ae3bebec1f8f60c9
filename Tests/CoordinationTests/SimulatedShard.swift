import Coordination
import MemoryBank
import Messages
import Numerics
import Runs
import TestSupport

/// A memory shard's process: the real machine, around it the real directory and store of extents on a disk of its own, and
/// a thread that copies.
struct SimulatedShard {
  static let path = "shard"

  let id: ShardID
  let host: String
  /// Bytes that it offers.
  let capacity: Int
  /// Its address: a shard with an empty directory may take over that of one whose disk is lost.
  let place: UInt64
  var process = SimulatedProcess()
  /// Its disk, and nobody else's.
  let storage = SimulatedStorage()
  /// While the process is up.
  var directory: ShardDirectory?
  /// As it is, or was when the process ended. Nil in a directory that no run has used yet.
  var store: ExtentStore?
  /// Its disk is nobody's any more: it broke, or the shard was drained.
  var isDiskGone = false
  /// Extents that were damaged, and that nobody has read since.
  var spoilt: Set<Int> = []
  var machine: ShardMachine?
  /// The coordinator that it joined last.
  var joined = Incarnation(0)
  /// The newest that any process of it has joined.
  var newestJoined = Incarnation(0)
  /// To be copied, one after the other: the first is under way.
  var wanted: [AssignedExtent] = []
  /// Of the copy under way; those before it have ended, or are void.
  var copyNumber = 0
  var slowUntil: UInt64 = 0
  /// Its disk has no room until then.
  var fullUntil: UInt64 = 0

  /// With an empty disk.
  /// - Throws: what opening its directory throws.
  init(host: String, capacity: Int, place: UInt64, _ random: inout SplitMix64) throws {
    (self.host, self.capacity, self.place) = (host, capacity, place)
    let directory = try ShardDirectory(Self.path, in: storage, random: &random)
    id = directory.shard
    directory.release()
  }

  var address: BulkAddress { BulkAddress(endpoint: (try? Endpoint("tcp://\(host).\(place):7"))!) }

  /// Whether it has an extent with these rows whole, whatever its process is doing.
  func holds(_ record: ExtentRecord) -> Bool {
    guard !isDiskGone, let store else { return false }
    return store.held[record.index] == record.mark && !spoilt.contains(record.index)
      && !store.damaged.contains(record.index)
  }

  /// The floats of rows that it holds.
  func read(_ numbers: Range<Int>) throws -> [Float] {
    var floats = [Float](repeating: 0, count: numbers.count * Truth.width)
    try floats.withUnsafeMutableBytes { try store?.read(Array(numbers), into: $0) }
    return floats
  }

  /// - Parameter forgetting: it begins as if it had followed nobody.
  /// - Throws: what opening the directory throws.
  mutating func start(forgetting: Bool, at now: Instant) throws {
    directory?.release()
    let directory = try ShardDirectory(Self.path, in: storage)
    self.directory = directory
    if let layout = directory.layout { try open(layout) }
    machine = ShardMachine(
      ShardMachine.Settings(
        name: host, shard: id, address: address, capacity: capacity,
        // The run of the messages is the same in all worlds, that of the rows is each run directory's own.
        run: directory.layout == nil ? nil : Simulation.run,
        incarnation: forgetting ? Incarnation(0) : directory.incarnation, protocolVersion: 1, peer: process.peer,
        coordinator: "simulated", directory: Self.path),
      holding: store?.held ?? [:], at: now)
    leave()
  }

  mutating func open(_ layout: ExtentLayout) throws {
    if store?.layout != layout { store = try ExtentStore(storage: storage, directory: Self.path, layout: layout) }
  }

  /// What is under way ends by itself, and nobody hears of it.
  mutating func leave() {
    wanted = []
    copyNumber += 1
  }

  /// Changes a byte of an extent's rows behind everyone's back.
  func damage(_ extent: Int, at offset: Int) throws {
    guard let layout = store?.layout else { return }
    let number = String(extent * layout.capacity)
    let name = "rows-" + String(repeating: "0", count: 12 - number.count) + number
    try storage.corrupt("\(Self.path)/\(name)", at: layout.fileSize - 1 - offset) { $0 ^ 1 }
  }

  /// The process dies, with its machine if it loses power.
  /// - Throws: what opening the directory again throws.
  mutating func crash(losingPower: Bool, _ random: inout SplitMix64) throws {
    process.isUp = false
    if losingPower { storage.restart(cuttingPower: random.next()) } else { storage.restart() }
    guard let layout = store?.layout else { return }
    if !spoilt.isEmpty {
      // A copy in the place of the damaged file may have its name already; a power cut may bring the one before it back.
      let found = try ExtentStore(storage: storage, directory: Self.path, layout: layout)
      spoilt = try spoilt.filter { try found.held[$0] != nil && !found.verify($0) }
    }
    store = try ExtentStore(storage: storage, directory: Self.path, layout: layout)
  }
}
