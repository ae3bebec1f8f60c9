import Durability
import Foundation
import Numerics

/// What a checkpoint is of: everything about the run's state that is not a tensor, and a digest of everything that is.
public struct Manifest: Codable, Equatable, Sendable {
  /// Written by this massl; older ones are read as far as they are known, newer ones refused.
  public static let formatVersion = 1

  public var formatVersion = Manifest.formatVersion
  /// The run's identity.
  public var run: Digest
  public var incarnation: UInt64
  /// Updates done: the step that comes next.
  public var step: Int
  public var epoch: Int
  public var student: Digest
  public var teacher: Digest
  /// The chain over all rows enqueued so far (`MemoryDigest.state`).
  public var memory: Digest
  /// Rows enqueued so far.
  public var rows: Int
  /// Rows below this are seeded, not stored.
  public var floor: Int
  /// The oldest stored row that resuming needs: rows from here on must be kept as long as this checkpoint.
  public var oldestRow: Int
  public var data: DataRecord
  /// The configuration in force at this step, as a recipe (YAML).
  public var configuration: String
  /// Trajectory keys that were changed in the course of the run, oldest first.
  public var changes: [ConfigurationChange]
  public var optimizer: OptimizerRecord
  /// Once it is kept for good: true if for its weights alone, its memory rows may be gone; false if with its rows. Nil in
  /// all others.
  public var weightsOnly: Bool?
  /// By host: the first step in which a result of it counts that nobody compared. Nil in checkpoints of before audits.
  public var unaudited: [String: Int]?
  /// Pictures that were found not to decode so far, ascending. Nil in checkpoints of before they were kept.
  public var undecodable: [Int]?
  /// What the probe of the run's workers is. Nil where nobody has worked yet, and in checkpoints of before it was noted.
  public var probe: Digest?
  /// By file name; filled in when the checkpoint is written.
  public var files: [String: FileRecord] = [:]

  public init(
    run: Digest, incarnation: UInt64, step: Int, epoch: Int, student: Digest, teacher: Digest, memory: Digest,
    rows: Int, floor: Int, oldestRow: Int, data: DataRecord, configuration: String, changes: [ConfigurationChange],
    optimizer: OptimizerRecord, unaudited: [String: Int]? = nil, undecodable: [Int]? = nil,
    probe: Digest? = nil
  ) {
    self.run = run
    self.incarnation = incarnation
    self.step = step
    self.epoch = epoch
    self.student = student
    self.teacher = teacher
    self.memory = memory
    self.rows = rows
    self.floor = floor
    self.oldestRow = oldestRow
    self.data = data
    self.configuration = configuration
    self.changes = changes
    self.optimizer = optimizer
    self.unaudited = unaudited
    self.undecodable = undecodable
    self.probe = probe
  }
}

extension Manifest {
  /// Steps, rows, pictures and bytes are counted up to here, no matter what a manifest says: sums and products of them
  /// stay numbers.
  static let numbersBelow = 1 << 48

  /// Every number with the name of its field.
  var numbers: [(field: String, number: Int)] {
    [
      ("step", step), ("epoch", epoch), ("rows", rows), ("floor", floor), ("oldest_row", oldestRow),
      ("data.count", data.count), ("optimizer.steps", optimizer.steps),
    ] + (unaudited ?? [:]).values.map { ("unaudited", $0) } + (undecodable ?? []).map { ("undecodable", $0) }
      + changes.map { ("changes.step", $0.step) }
      + files.values.map { ("files.size", $0.size) }
  }

  /// What a file of tensors says of itself, so that it can be used without this manifest: run, step, configuration.
  public var metadata: [String: String] {
    ["format": "pt", "run": "\(run)", "step": "\(step)", "configuration": configuration]
  }
}

/// Which data set: count of pictures and a digest of their relative paths and sizes, in order.
public struct DataRecord: Codable, Hashable, Sendable {
  public var count: Int
  public var digest: Digest
  public init(count: Int, digest: Digest) {
    self.count = count
    self.digest = digest
  }
}

/// A key given another value, from this step on.
public struct ConfigurationChange: Codable, Hashable, Sendable {
  public var step: Int
  public var key: String
  public var from: String
  public var to: String
  public init(step: Int, key: String, from: String, to: String) {
    self.step = step
    self.key = key
    self.from = from
    self.to = to
  }
}

/// What the optimizer's tensors belong to.
public struct OptimizerRecord: Codable, Hashable, Sendable {
  /// "adamw", "sgd" or "lars".
  public var kind: String
  /// Updates that it has made.
  public var steps: Int
  public init(kind: String, steps: Int) {
    self.kind = kind
    self.steps = steps
  }
}

/// What a file of tensors holds, so that damage is found, and named.
public struct FileRecord: Codable, Hashable, Sendable {
  /// In bytes.
  public var size: Int
  /// Of all bytes before the tensors'.
  public var header: Digest
  public var tensors: [String: Digest]
}

// MARK: - On disk

/// JSON that finds its own damage: its first field is the digest of all bytes after that field's line.
///
///     {
///       "digest" : "0123456789abcdef0123456789abcdef",
///       "format_version" : 1,
///       ...
enum SealedJSON {
  private static let opening = Array("{\n  \"digest\" : \"".utf8)
  private static let closing = Array("\",\n".utf8)
  static let sizeAtMost = 256 << 20

  static func bytes(of value: some Encodable) throws -> [UInt8] {
    let rest = Array(try JSONEncoder.readable.encode(value)).dropFirst(2)
    return opening + Array(Digest(of: rest).description.utf8) + closing + rest
  }

  /// - Parameter version: the newest format that this massl reads.
  /// - Throws: `CheckpointError.damaged` or `.newerFormat`.
  static func value<Value: Decodable>(
    _ type: Value.Type, from bytes: [UInt8], file: String, version: Int
  ) throws -> Value {
    let start = opening.count + 32 + closing.count
    guard bytes.count > start, Array(bytes[..<opening.count]) == opening,
      Array(bytes[(start - closing.count)..<start]) == closing
    else { throw CheckpointError.damaged(file: file, tensor: nil, reason: "does not begin with its digest") }
    let rest = bytes[start...]
    guard Array(bytes[opening.count..<(opening.count + 32)]) == Array(Digest(of: rest).description.utf8) else {
      throw CheckpointError.damaged(file: file, tensor: nil, reason: "does not match its digest")
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let data = Data([UInt8(ascii: "{")] + rest)
    do {
      let found = try decoder.decode(Versioned.self, from: data).formatVersion
      guard found <= version else {
        throw CheckpointError.newerFormat(file: file, version: found, supported: version)
      }
      return try decoder.decode(type, from: data)
    } catch let error as DecodingError {
      throw CheckpointError.damaged(file: file, tensor: nil, reason: "lacks a field (\(error))")
    }
  }

  private struct Versioned: Decodable { let formatVersion: Int }
}
