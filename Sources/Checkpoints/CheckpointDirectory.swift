import Durability
import Numerics

/// A run's checkpoints: `step-NNNNNNNN` each, there whole or not at all.
///
/// A checkpoint is written under a name of its own, made durable file by file, manifest last, then renamed. Three kinds
/// of names begin with a dot and are no checkpoints: `.tmp-*`, being written; `.old-step-*`, whole but being replaced
/// by another of the same step; `.gone-*`, being removed. `recover` clears up after a crash between any two calls.
///
/// One thread at a time may write, prune or recover; any may read.
public struct CheckpointDirectory: Sendable {
  public let path: String
  private let storage: any Storage

  /// Makes the directory if need be.
  public init(_ path: String, in storage: any Storage) throws {
    self.path = path
    self.storage = storage
    try storage.makeDurableDirectory(path)
  }

  /// The folder of a step's checkpoint.
  public static func name(of step: Int) -> String {
    let number = String(step)
    return "step-" + String(repeating: "0", count: max(0, 8 - number.count)) + number
  }

  private static func step(named name: String) -> Int? {
    guard name.hasPrefix("step-"), let step = Int(name.dropFirst(5)), step >= 0, self.name(of: step) == name else {
      return nil
    }
    return step
  }
}

// MARK: - Writing

extension CheckpointDirectory {
  /// Writes a checkpoint of `manifest.step`. When it returns the checkpoint survives a power cut; if it throws (a full
  /// disk, say), those before it are untouched.
  /// - Parameter check: called before each tensor; throws once the checkpoint is not wanted any more.
  /// - Returns: the manifest with its files' digests.
  /// - Throws: `DurabilityError`, what `check` throws.
  @discardableResult
  public func write(
    _ content: CheckpointContent, _ manifest: Manifest, unless check: () throws -> Void = {}
  ) throws -> Manifest {
    let name = Self.name(of: manifest.step)
    let temporary = "\(path)/.tmp-\(name)"
    var manifest = manifest
    do {
      try storage.remove(temporary)
      try storage.makeDirectory(temporary)
      manifest.files = [:]
      for (file, groups) in content.files where !groups.isEmpty {
        manifest.files[file] = try SafetensorsFile.write(
          groups, metadata: manifest.metadata, to: "\(temporary)/\(file)", in: storage, unless: check)
      }
      try writeManifest(manifest, to: "\(temporary)/\(Checkpoint.manifestFile)")
      try storage.synchronizeDirectory(temporary)
    } catch {
      // Room on a full disk is worth more than half a checkpoint; `recover` tries again if this fails too.
      try? storage.remove(temporary)
      throw error
    }
    try publish(temporary, as: name)
    return manifest
  }

  private func writeManifest(_ manifest: Manifest, to path: String) throws {
    let bytes = try SealedJSON.bytes(of: manifest)
    let file = try storage.open(path, .replacing)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    try file.synchronize()
  }

  /// Gives a durable directory its name. One that has the name is set aside first, for a directory cannot be replaced;
  /// a crash in between leaves it as `.old-`, and `recover` brings it back.
  private func publish(_ temporary: String, as name: String) throws {
    let replaces = try storage.exists("\(path)/\(name)")
    if replaces {
      try storage.remove("\(path)/.old-\(name)")
      try storage.rename("\(path)/\(name)", to: "\(path)/.old-\(name)")
    }
    try storage.rename(temporary, to: "\(path)/\(name)")
    try storage.synchronizeDirectory(path)
    if replaces { try storage.remove("\(path)/.old-\(name)") }
  }

  /// Removes what a crash left of writing and removing, and brings back what was set aside. Whatever checkpoint is there
  /// afterwards survives a power cut.
  public func recover() throws {
    // The writer may have died between a rename and its fsync: nothing may rely on that name, or be removed for it,
    // before it is durable.
    try storage.synchronizeDirectory(path)
    for name in try storage.list(path) where name.hasPrefix(".") {
      let step = String(name.dropFirst(".old-".count))
      if name.hasPrefix(".old-"), Self.step(named: step) != nil, try !storage.exists("\(path)/\(step)") {
        try storage.rename("\(path)/\(name)", to: "\(path)/\(step)")
        try storage.synchronizeDirectory(path)
      } else if [".tmp-", ".old-", ".gone-"].contains(where: name.hasPrefix) {
        try storage.remove("\(path)/\(name)")
      }
    }
  }

  /// Removes all but the newest `count` checkpoints, `newestWhole`, and those that are kept for good: their manifests say
  /// whether with their rows or for their weights alone.
  ///
  /// - Parameters:
  ///   - every: of every so many steps the first checkpoint is kept for good, none of the first so many; 0: none. What was
  ///     kept for good once remains, as it was, whatever is given later.
  ///   - keepsRows: whether those that come to be kept for good now need their rows.
  /// - Returns: the rows that those need which remain.
  @discardableResult
  public func prune(
    keeping count: Int, forGoodEvery every: Int = 0, keepsRows: Bool = false, newestWhole: Int
  ) throws -> NeededRows {
    // A damaged one has no say in anything: nothing can be resumed from it.
    let manifests = try steps().map { step in (step, manifest: try? checkpoint(ofStep: step).manifest) }
    var keptPeriod = 0
    for (step, manifest) in manifests.dropLast(max(count, 0)) where step != newestWhole {
      let period = every > 0 ? step / every : 0
      let isFirst = manifest != nil && period > keptPeriod
      if isFirst { keptPeriod = period }
      if let manifest, isFirst || manifest.weightsOnly != nil {
        try keepForGood(step, manifest, weightsOnly: !keepsRows)
      } else {
        try remove(step)
      }
    }
    return try neededRows()
  }

  /// The memory rows that checkpoints need. A damaged one needs none.
  public func neededRows() throws -> NeededRows {
    var needed = NeededRows()
    for manifest in try steps().compactMap({ try? checkpoint(ofStep: $0).manifest }) {
      let rows = manifest.oldestRow..<max(manifest.oldestRow, manifest.rows)
      switch manifest.weightsOnly {
      case nil: needed.recent.append(rows)
      case false?: needed.keptForGood.append(rows)
      case true?: break
      }
    }
    return needed
  }

  /// Says so durably, before anybody removes rows that the checkpoint had.
  private func keepForGood(_ step: Int, _ manifest: Manifest, weightsOnly: Bool) throws {
    guard manifest.weightsOnly == nil else { return }
    var manifest = manifest
    manifest.weightsOnly = weightsOnly
    try storage.writeAtomically(
      SealedJSON.bytes(of: manifest), to: "\(path)/\(Self.name(of: step))/\(Checkpoint.manifestFile)")
  }

  /// Renames checkpoints: `suspect-1-step-NNNNNNNN` the first time, `suspect-2-...` the next.
  func aside(_ steps: [Int]) throws -> [String] {
    let times = try storage.list(path).compactMap { name -> Int? in
      let parts = name.split(separator: "-")
      return parts.count == 4 && parts[0] == "suspect" ? Int(parts[1]) : nil
    }
    let number = (times.max() ?? 0) + 1
    let names = try steps.map { step in
      let (old, new) = (Self.name(of: step), "suspect-\(number)-\(Self.name(of: step))")
      try storage.rename("\(path)/\(old)", to: "\(path)/\(new)")
      return new
    }
    if !names.isEmpty { try storage.synchronizeDirectory(path) }
    return names
  }

  private func remove(_ step: Int) throws {
    let name = Self.name(of: step)
    // Under another name first, durably: half a checkpoint must not be found under its own.
    try storage.remove("\(path)/.gone-\(name)")
    try storage.rename("\(path)/\(name)", to: "\(path)/.gone-\(name)")
    try storage.synchronizeDirectory(path)
    try storage.remove("\(path)/.gone-\(name)")
  }
}

// MARK: - Reading

extension CheckpointDirectory {
  /// The steps that have a checkpoint, damaged or not, oldest first.
  public func steps() throws -> [Int] { try storage.list(path).compactMap(Self.step(named:)).sorted() }

  /// - Throws: `CheckpointError.noSuchStep`, `.damaged`, `.newerFormat`.
  public func checkpoint(ofStep step: Int) throws -> Checkpoint {
    let directory = "\(path)/\(Self.name(of: step))"
    do {
      return try Checkpoint(directory, in: storage)
    } catch let error as DurabilityError where error.isAbsence {
      guard try storage.exists(directory) else {
        throw CheckpointError.noSuchStep(directory: path, step: step, present: try steps())
      }
      throw CheckpointError.damaged(
        file: "\(directory)/\(Checkpoint.manifestFile)", tensor: nil, reason: "is not there")
    }
  }

  /// The newest checkpoint whose every byte matches its digest, and why the newer ones do not, newest first.
  /// - Parameter last: checkpoints of later steps are not looked at.
  /// - Throws: `CheckpointError.newerFormat`: one that a newer massl wrote is not damaged, and not to be passed over.
  public func newestWhole(atMost last: Int = .max) throws -> (checkpoint: Checkpoint?, damaged: [CheckpointError]) {
    var damaged: [CheckpointError] = []
    for step in try steps().reversed() where step <= last {
      do {
        let checkpoint = try checkpoint(ofStep: step)
        try checkpoint.verify()
        return (checkpoint, damaged)
      } catch let error as CheckpointError {
        guard case .damaged = error else { throw error }
        damaged.append(error)
      } catch DurabilityError.tooShort(let path, _, let size) {
        damaged.append(.damaged(file: path, tensor: nil, reason: "ends after \(size) bytes"))
      } catch DurabilityError.tooLong(let path, let size, _) {
        damaged.append(.damaged(file: path, tensor: nil, reason: "has \(size) bytes, far too many"))
      }
    }
    return (nil, damaged)
  }
}
