import Coordination
import Durability
import Foundation

/// `quarantine.json` of a run directory: hosts whose workers are refused, and the way back from what they did.
///
/// Unlike the run's other records it has no digest, for taking an entry out by hand is how a host is let in again.
public struct Quarantine: Codable, Equatable, Sendable {
  static let formatVersion = 1
  static let file = "quarantine.json"

  public var formatVersion = Quarantine.formatVersion
  public var hosts: [QuarantinedHost] = []
  /// The run is to go back: checkpoints of later steps do not count. Nil once they are set aside.
  public var goesBackTo: Int?
  /// The earliest step that the run ever went back to. From there on one incarnation's memory rows are not another's.
  public var wentBackTo: Int?

  public init() {}
}

// MARK: - In the run directory

extension RunDirectory {
  private static let quarantineSizeAtMost = 64 << 20

  /// Empty if there is no such file. May be read without the lock.
  /// - Throws: `CheckpointError.damagedQuarantine`, `.newerFormat`; `DurabilityError`.
  public static func quarantine(of path: String, in storage: any Storage) throws -> Quarantine {
    let file = "\(path)/\(Quarantine.file)"
    guard try storage.exists(file) else { return Quarantine() }
    let bytes = try storage.readWhole(file, limit: quarantineSizeAtMost)
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      let quarantine = try decoder.decode(Quarantine.self, from: Data(bytes))
      guard quarantine.formatVersion <= Quarantine.formatVersion else {
        throw CheckpointError.newerFormat(
          file: file, version: quarantine.formatVersion, supported: Quarantine.formatVersion)
      }
      let steps = [quarantine.goesBackTo, quarantine.wentBackTo].compactMap(\.self)
      guard (steps + quarantine.hosts.map(\.step)).allSatisfy({ 0..<Manifest.numbersBelow ~= $0 }),
        quarantine.hosts.allSatisfy({ $0.suspectSteps?.count ?? 2 == 2 })
      else { throw CheckpointError.damagedQuarantine(file: file, reason: "has impossible steps") }
      return quarantine
    } catch let error as DecodingError {
      throw CheckpointError.damagedQuarantine(file: file, reason: "cannot be read (\(error))")
    }
  }

  public func quarantine() throws -> Quarantine { try Self.quarantine(of: path, in: storage) }

  /// Durable when it returns.
  public func write(_ quarantine: Quarantine) throws {
    try verifyLock()
    try storage.writeAtomically(
      JSONEncoder.readable.encode(quarantine), to: "\(path)/\(Quarantine.file)")
  }

  /// Has the run go back if that was left to do: sets aside the checkpoints that do not count. Before any is loaded.
  /// - Returns: the names that they have now.
  public func goBackIfNeeded(_ checkpoints: CheckpointDirectory) throws -> [String] {
    var quarantine = try quarantine()
    guard let step = quarantine.goesBackTo else { return [] }
    let target = try checkpoints.newestResumable(atMost: step)
    let names = try checkpoints.setAside(above: target)
    quarantine.goesBackTo = nil
    quarantine.wentBackTo = min(quarantine.wentBackTo ?? .max, target ?? 0)
    try write(quarantine)
    return names
  }
}

// MARK: - Checkpoints that no longer count

extension CheckpointDirectory {
  /// The newest whole checkpoint that still has its memory rows; nil if there is none.
  func newestResumable(atMost last: Int) throws -> Int? {
    var last = last
    while let checkpoint = try newestWhole(atMost: last).checkpoint {
      if checkpoint.manifest.weightsOnly != true { return checkpoint.manifest.step }
      last = checkpoint.manifest.step - 1
    }
    return nil
  }

  /// Gives all checkpoints of steps above `step`, or all if it is nil, names that are not resumed, durably. Nothing is
  /// deleted.
  func setAside(above step: Int?) throws -> [String] {
    try aside(steps().filter { $0 > step ?? -1 })
  }
}
