import Checkpoints
import Coordination
import Durability
import Numerics
import TestSupport
import Wire

/// The run directory of a simulated coordinator: the real checkpoints, on files that lose what was not fsynced.
///
/// Weights are their digest, in eight floats of sixteen bits each.
struct SimulatedDisk {
  private static let path = "run"
  private static let data = DataRecord(count: 1000, digest: Digest(high: 7, low: 7))
  /// Above the calls that a checkpoint's writing takes: some cuts within so many come too late.
  private static let callsOfAWrite: UInt64 = 40
  /// Above the calls that begin a checkpoint, none of which may fail unnoticed.
  private static let callsThatMatter: UInt64 = 16

  let storage = SimulatedStorage()
  private(set) var directory: RunDirectory?
  /// By host, as the newest checkpoint has it, and as the next one is to have it.
  var unaudited: [String: Int] = [:]
  private(set) var incarnation: UInt64 = 0

  /// As a coordinator starts: locks the directory, takes the next incarnation.
  /// - Returns: the newest whole checkpoint; nil if there is none.
  /// - Throws: what the directory throws, and `CheckpointError.damaged` for any checkpoint that is, for none may be.
  mutating func open(_ random: inout SplitMix64) throws -> Updated? {
    let opened = try Self.open(storage, &random)
    directory = opened
    let checkpoints = try opened.checkpoints()
    try checkpoints.recover()
    _ = try opened.goBackIfNeeded(checkpoints)
    let (checkpoint, damaged) = try checkpoints.newestWhole()
    if let error = damaged.first { throw error }
    incarnation = try opened.nextIncarnation()
    unaudited = checkpoint?.manifest.unaudited ?? [:]
    return try checkpoint.map(Self.version)
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

  /// Writes a checkpoint and removes those before the last two.
  func write(_ version: Updated) throws {
    guard let directory else { return }
    try directory.verifyLock()
    let checkpoints = try directory.checkpoints()
    try checkpoints.write(
      Self.content(student: Self.floats(version.student), teacher: Self.floats(version.teacher)),
      Manifest(
        run: directory.run, incarnation: incarnation, step: version.step, epoch: 0, student: version.student,
        teacher: version.teacher, memory: version.student, rows: version.rows, floor: version.memoryFloor, oldestRow: 0,
        data: Self.data, configuration: "", changes: [],
        optimizer: OptimizerRecord(kind: "adamw", steps: version.step), unaudited: unaudited))
    // As in the real process: what goes wrong in clearing up is no failure of the checkpoint.
    _ = try? checkpoints.prune(keeping: 2, newestWhole: version.step)
  }

  /// The same on a disk that is full at some point of it.
  func writeOnFullDisk(_ version: Updated, _ random: inout SplitMix64) throws {
    storage.failOperation(after: Int(random.next(below: Self.callsThatMatter)), number: 28)
    defer { storage.failOperation(after: Int.max / 2) }
    try write(version)
  }

  /// The process dies, in the middle of writing a checkpoint if it was; with it the machine, if it loses power.
  mutating func crash(writing version: Updated?, losingPower: Bool, _ random: inout SplitMix64) {
    if let version {
      storage.cutPower(after: Int(random.next(below: Self.callsOfAWrite)))
      try? write(version)
    }
    if losingPower { storage.restart(cuttingPower: random.next()) } else { storage.restart() }
    directory = nil
  }
}

// MARK: - What is in a checkpoint

extension SimulatedDisk {
  private static func open(_ storage: SimulatedStorage, _ random: inout SplitMix64) throws -> RunDirectory {
    try RunDirectory.open(path, configuration: "seed: 0\n", data: data, in: storage, random: &random)
  }

  private static func version(_ checkpoint: Checkpoint) throws -> Updated {
    let zeros = [Float](repeating: 0, count: 8)
    let content = content(student: zeros, teacher: zeros)
    try checkpoint.load(content)
    return Updated(
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
