import Checkpoints
import Coordination
import Durability
import MemoryBank
import Messages
import Numerics
import TestSupport

/// The run directory of a simulated coordinator: the real checkpoints and the real store of rows, on files that lose what
/// was not fsynced. It does what the real process does, in its order.
///
/// Weights are their digest, in eight floats of sixteen bits each.
struct SimulatedDisk {
  /// What of a run's configuration concerns its disk.
  struct Settings {
    let memorySize: Int
    let keptCheckpoints: Int
    let cacheBytes: Int
    /// So that a step's rows begin and end in the middle of files, and files are pruned.
    var rowsPerExtent = 8
  }

  /// What a checkpoint names.
  struct Saved {
    let version: VersionIdentity
    let memory: Digest
  }

  /// What a process may be at when it dies.
  enum Work {
    case appending(Matrix)
    case writing(Saved)
    case extents(ExtentWork)
  }

  /// What the thread for extents does.
  enum ExtentWork {
    case writeLedger(number: UInt64, Ledger)
    case release([Int])
    case fetch(AssignedExtent)
  }

  /// No checkpoint of this process can be durable any more.
  struct Lost: Error { let reason: any Error }

  static let path = "run"
  static let lockPath = "run/coordinator.lock"
  private static let data = DataRecord(count: 1000, digest: Digest(high: 7, low: 7))
  /// Above the calls that a checkpoint's writing takes: some cuts within so many come too late.
  private static let callsOfAWrite: UInt64 = 60
  /// Above the calls that begin a checkpoint, none of which may fail unnoticed.
  private static let callsThatMatter: UInt64 = 24
  private static let callsOfAnAppend: UInt64 = 12
  private static let callsOfExtentWork: UInt64 = 8

  let storage: SimulatedStorage
  let settings: Settings
  private let bug: Simulation.PlantedBug?
  private(set) var directory: RunDirectory?
  /// By host, as the newest checkpoint has it, and as the next one is to have it.
  var unaudited: [String: Int] = [:]
  private(set) var rows: RowStore?
  private(set) var incarnation: UInt64 = 0

  init(_ storage: SimulatedStorage, _ settings: Settings, bug: Simulation.PlantedBug?) {
    (self.storage, self.settings, self.bug) = (storage, settings, bug)
  }

  /// As a coordinator starts: locks the directory, opens the memory of the newest checkpoint, takes the next incarnation.
  /// - Returns: the newest whole checkpoint; nil if there is none.
  /// - Throws: what the directory throws, and `CheckpointError.damaged` for any checkpoint that is, for none may be.
  mutating func open(_ random: inout SplitMix64) throws -> Saved? {
    let opened = try Self.open(storage, &random)
    directory = opened
    let checkpoints = try checkpoints(of: opened)
    try checkpoints.recover()
    _ = try opened.goBackIfNeeded(checkpoints)
    let (checkpoint, damaged) = try checkpoints.newestWhole()
    if let error = damaged.first { throw error }
    let manifest = checkpoint?.manifest
    rows = try RowStore(
      storage: storage(of: opened), directory: opened.memoryPath, layout: layout(of: opened),
      window: MemoryWindow(size: settings.memorySize, rows: manifest?.rows ?? 0, floor: manifest?.floor ?? 0),
      digest: manifest.map { MemoryDigest(resuming: $0.memory) } ?? MemoryDigest(), cacheBytes: settings.cacheBytes)
    incarnation = try opened.nextIncarnation()
    unaudited = manifest?.unaudited ?? [:]
    return try checkpoint.map { Saved(version: try Self.version($0), memory: $0.manifest.memory) }
  }

  /// Whether a second coordinator is turned away.
  func turnsAway(_ random: inout SplitMix64) -> Bool {
    do {
      _ = try Self.open(storage, &random)
      return false
    } catch DurabilityError.locked {
      return true
    } catch {
      return false
    }
  }

  /// Throws an error with `isLostLock` if another may own the directory.
  func verifyLock() throws {
    if bug != .ignoresLostLocks { try directory?.verifyLock() }
  }

  func layout(of directory: RunDirectory) -> ExtentLayout {
    ExtentLayout(run: directory.run, width: Truth.width, capacity: settings.rowsPerExtent)
  }

  private func storage(of directory: RunDirectory) -> any Storage {
    bug == .ignoresLostLocks ? storage : directory.storage
  }

  func checkpoints(of directory: RunDirectory) throws -> CheckpointDirectory {
    try CheckpointDirectory(directory.checkpointsPath, in: storage(of: directory))
  }

  /// The process ends.
  mutating func close() { (directory, rows) = (nil, nil) }
}

// MARK: - Writing

extension SimulatedDisk {
  /// Stores a step's rows, on a disk that is full at some point of it if a number is given.
  func append(_ new: Matrix, onFullDisk point: UInt64?) throws {
    if let point { storage.failOperation(after: Int(point % Self.callsOfAnAppend), number: 28) }
    defer { if point != nil { storage.failOperation(after: Int.max / 2) } }
    try rows?.append(new)
  }

  /// Writes a checkpoint and removes those that are not kept, with the rows that only they needed. The disk is full at
  /// some point of it if a number is given.
  /// - Parameter events: gets what the coordinator learns of extents and rows, also where the checkpoint then fails.
  /// - Throws: `Lost` if this process should end.
  func write(_ saved: Saved, onFullDisk point: UInt64? = nil, saying events: inout [Event]) throws {
    guard let directory, let rows else { return }
    if let point { storage.failOperation(after: Int(point % Self.callsThatMatter), number: 28) }
    defer { if point != nil { storage.failOperation(after: Int.max / 2) } }
    let version = saved.version
    let oldestRow = stored(rows: version.rows).lowerBound
    let checkpoints: CheckpointDirectory
    do {
      try verifyLock()
      checkpoints = try self.checkpoints(of: directory)
      if bug != .publishesManifestsBeforeTheirRows { events += try rows.flush().map { .extentSealed($0.identity) } }
      try checkpoints.write(
        Self.content(student: Self.floats(version.student), teacher: Self.floats(version.teacher)),
        Manifest(
          run: directory.run, incarnation: incarnation, step: version.step, epoch: 0, student: version.student,
          teacher: version.teacher, memory: saved.memory, rows: version.rows, floor: version.memoryFloor,
          oldestRow: oldestRow, data: Self.data, configuration: "", changes: [],
          optimizer: OptimizerRecord(kind: "adamw", steps: version.step), unaudited: unaudited))
    } catch let error as DurabilityError where error.isLostLock {
      throw Lost(reason: error)
    } catch let error as MemoryBankError {
      throw Lost(reason: error)
    }
    if bug == .publishesManifestsBeforeTheirRows { events += try rows.flush().map { .extentSealed($0.identity) } }
    // As in the real process: what goes wrong in clearing up is no failure of the checkpoint.
    guard let needed = try? checkpoints.prune(keeping: settings.keptCheckpoints, newestWhole: version.step),
      let oldest = needed.oldestOfRecent, let settled = needed.settled
    else { return }
    let least = min(oldest, oldestRow)
    try? rows.prune(below: bug == .prunesRowsOfKeptCheckpoints ? oldestRow : least)
    events.append(.rowsNeeded(from: least, settled: settled))
  }

  /// The process dies, in the middle of what it was at; with it the machine, if it loses power.
  mutating func crash(during work: Work?, losingPower: Bool, _ random: inout SplitMix64) {
    if let work {
      storage.cutPower(after: Int(random.next(below: Self.calls(of: work))))
      try? carryOut(work)
    }
    if losingPower { storage.restart(cuttingPower: random.next()) } else { storage.restart() }
    close()
  }

  private static func calls(of work: Work) -> UInt64 {
    switch work {
    case .appending: callsOfAnAppend
    case .writing: callsOfAWrite
    case .extents: callsOfExtentWork
    }
  }

  private func carryOut(_ work: Work) throws {
    switch work {
    case .appending(let new): try rows?.append(new)
    case .writing(let saved):
      var nobodyHears: [Event] = []
      try write(saved, saying: &nobodyHears)
    case .extents(let work): try carryOut(work)
    }
  }
}

// MARK: - Checking

extension SimulatedDisk {
  /// The rows with these numbers, by way of the store.
  func read(_ numbers: Range<Int>) throws -> [Float] {
    var floats = [Float](repeating: 0, count: numbers.count * Truth.width)
    try floats.withUnsafeMutableBytes { try rows?.read(Array(numbers), into: $0) }
    return floats
  }

  /// The numbers of the rows in the memory that are stored.
  func stored(rows: Int) -> Range<Int> { MemoryWindow(size: settings.memorySize, rows: rows).stored }

  /// Throws unless every row that a kept checkpoint needs is in the files, or elsewhere, and a calm run's if that is given.
  /// - Parameters:
  ///   - onlyOldest: looks at the oldest checkpoint alone, whose rows are the first to go.
  ///   - elsewhere: the rows of an extent whose file is not here.
  func checkKeptRows(_ truth: Truth?, onlyOldest: Bool = false, elsewhere: (Int) throws -> [Float]) throws {
    guard let directory, let rows else { return }
    let layout = layout(of: directory)
    let files = try StoredRows(in: directory.memoryPath, layout: layout, storage: storage)
    let checkpoints = try CheckpointDirectory(directory.checkpointsPath, in: storage)
    let buffer = FloatBuffer(count: layout.capacity * Truth.width).matrix(rows: layout.capacity, columns: Truth.width)
    // Newest first: an older one needs few others.
    var known = Int.max
    for step in try checkpoints.steps().prefix(onlyOldest ? 1 : .max).reversed() {
      let manifest = try checkpoints.checkpoint(ofStep: step).manifest
      guard manifest.weightsOnly != true else { continue }
      var number = manifest.oldestRow
      while number < min(manifest.rows, known) {
        let extent = layout.index(of: number)
        let end = min(layout.rows(of: extent).upperBound, manifest.rows)
        let isElsewhere = !rows.localExtents.contains(extent) && !rows.holders[extent, default: []].isEmpty
        let found: [Float]
        if isElsewhere {
          found = Self.floats(try elsewhere(extent), number..<end, layout)
        } else {
          let count = try files.read(number..<end, into: buffer)
          found = buffer.rows(0..<count).array
        }
        if let truth, found != truth.rows(number..<end) {
          throw SimulationError("rows from \(number) on of checkpoint \(step) have other bits than a calm run's")
        }
        number = end
      }
      known = min(known, manifest.oldestRow)
    }
  }

  /// Those rows of an extent's.
  static func floats(_ extent: [Float], _ numbers: Range<Int>, _ layout: ExtentLayout) -> [Float] {
    let first = numbers.lowerBound % layout.capacity
    return Array(extent[(first * Truth.width)..<((first + numbers.count) * Truth.width)])
  }
}

struct SimulationError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

// MARK: - What is in a checkpoint

extension SimulatedDisk {
  private static func open(_ storage: SimulatedStorage, _ random: inout SplitMix64) throws -> RunDirectory {
    try RunDirectory.open(path, configuration: "seed: 0\n", data: data, in: storage, random: &random)
  }

  private static func version(_ checkpoint: Checkpoint) throws -> VersionIdentity {
    let zeros = [Float](repeating: 0, count: 8)
    let content = content(student: zeros, teacher: zeros)
    try checkpoint.load(content)
    return VersionIdentity(
      step: checkpoint.manifest.step, student: digest(content.student[0].buffer.array),
      teacher: digest(content.teacher[0].buffer.array), rows: checkpoint.manifest.rows,
      memoryFloor: checkpoint.manifest.floor)
  }

  private static func content(student: [Float], teacher: [Float]) -> CheckpointContent {
    func group(_ floats: [Float], _ prefix: String = "") -> TensorGroup {
      TensorGroup(
        prefix: prefix, buffer: FloatBuffer(floats),
        entries: [TensorEntry(name: "weight", shape: [floats.count], range: 0..<floats.count)])
    }
    return CheckpointContent(
      student: [group(student)], teacher: [group(teacher)], optimizer: [group(student, "exp_avg.")])
  }

  private static func floats(_ digest: Digest) -> [Float] {
    [digest.high, digest.low].flatMap { word in (0..<4).map { Float(UInt16(truncatingIfNeeded: word >> (16 * $0))) } }
  }

  private static func digest(_ floats: [Float]) -> Digest {
    func word(_ pieces: ArraySlice<Float>) -> UInt64 { pieces.reversed().reduce(0) { $0 << 16 | UInt64($1) } }
    return Digest(high: word(floats[..<4]), low: word(floats[4...]))
  }
}
