import Checkpoints
import Configuration
import Durability
import Foundation
import Machine
import MemoryBank
import Networks
import Numerics
import Slices
import Synchronization
import Training
import Vision

/// Computes a step of a run again, from the newest checkpoint at or before it, and says what came of each slice.
///
/// The run's directory is only read. The steps between are computed too, with the configuration that was in force then;
/// whoever computed them first, the bits are the same, so a slice that comes out otherwise was wrong the first time.
public struct StepReplay: Sendable {
  private let run: String
  private let step: Int
  private let slice: Int?
  private let checkpoint: Checkpoint
  private let definition: RunDefinition
  /// Trajectory keys that were changed after the checkpoint.
  private let changes: [ConfigurationChange]
  private let lost: [LostPictureRecord]
  /// Directories of the run's memory shards.
  private let shards: [String]
  private let storage: any Storage

  /// - Parameters:
  ///   - run: the run's directory.
  ///   - step: 0 is the first.
  ///   - slice: the only one of the step to compute; nil: all of them, and what the update makes of them.
  ///   - shards: directories of the run's memory shards, for rows that it has not itself; they are only read.
  /// - Throws: `RunError.noCheckpointBefore`, `.noSuchStep`, `.noSuchSlice`; `CheckpointError`; `DurabilityError`;
  ///   `MemoryError` of a directory that is no shard of this run.
  public init(of run: String, step: Int, slice: Int?, shards: [String] = [], in storage: any Storage = FileStorage())
    throws
  {
    (self.run, self.step, self.slice, self.shards, self.storage) = (run, step, slice, shards, storage)
    guard let directory = try RunDirectory.checkpoints(of: run, in: storage) else {
      throw CheckpointError.noCheckpoint(directory: run)
    }
    let steps = try directory.steps()
    let (checkpoint, damaged) = try directory.newestWhole(atMost: step)
    guard let checkpoint else {
      throw damaged.first ?? RunError.noCheckpointBefore(run: run, step: step, present: steps)
    }
    self.checkpoint = checkpoint
    try ShardDirectory.check(shards, areOf: checkpoint.manifest.run, in: storage)
    // A damaged one tells nothing.
    let newest =
      steps.reversed().lazy.compactMap { try? directory.checkpoint(ofStep: $0).manifest }.first
      ?? checkpoint.manifest
    changes = Array(newest.changes.dropFirst(checkpoint.manifest.changes.count))
    definition = try RunDefinition(of: checkpoint.manifest)
    lost = try RunDirectory.lostPictures(of: run, in: storage)
    if let slice, !(0..<definition.slices ~= slice) {
      throw RunError.noSuchSlice(slice: slice, slices: definition.slices)
    }
    let last = try RunDefinition(of: newest).lastStep
    guard step < last else { throw RunError.noSuchStep(run: run, step: step, lastStep: last) }
  }

  /// What the results' bits depend on, beside the run.
  public var configuration: RunConfiguration { definition.configuration }
}

// MARK: - The result

extension StepReplay {
  public struct Report: Encodable, Sendable {
    /// The step computed again.
    public var step: Int
    /// Of the checkpoint that it was computed from.
    public var checkpointStep: Int
    public var slices: [Slice]
    /// Of the whole step; nil if only one slice was asked for.
    public var total: Total?

    /// Whether loss and gradient are.
    public var isFinite: Bool { slices.allSatisfy(\.isFinite) && total?.isFinite ?? true }
  }

  public struct Slice: Encodable, Sendable {
    public var slice: Int
    public var consistency: Double
    public var koleo: Double
    public var targetEntropy: Double
    /// Of the slice's share of the step's gradient, before clipping.
    public var gradientNorm: Double
    /// Names gradient, rows and statistics: what a worker announces.
    public var payload: Digest
    public var isFinite: Bool
    /// Nil if everything is finite.
    public var firstNotFinite: Place?
    public var undecodable: [String]
  }

  /// Where a value appeared.
  public struct Place: Encodable, Sendable, CustomStringConvertible {
    public var part: String
    public var layer: String?
    public var view: Int?
    /// Path in the data set.
    public var picture: String?

    public var description: String {
      [part, layer, view.map { "view \($0)" }, picture].compactMap(\.self).joined(separator: ", ")
    }
  }

  public struct Total: Encodable, Sendable {
    public var consistency: Double
    public var koleo: Double
    /// Before clipping.
    public var gradientNorm: Double
    public var isFinite: Bool
    /// After the update, as a checkpoint of the next step has them; nil if it cannot be made.
    public var student: Digest?
    public var teacher: Digest?
    public var memory: Digest?
  }
}

// MARK: - Computing

extension StepReplay {
  /// - Parameter data: the run's data set.
  /// - Throws: `CheckpointError.otherData`; `MemoryBankError` if rows are gone; `RunError.notFinite` if a step before
  ///   the one asked for cannot be made; `VisionError`.
  public func compute(on data: DataSet) throws -> Report {
    let manifest = checkpoint.manifest
    let given = DataRecord(count: data.identity.count, digest: data.identity.digest)
    guard given == manifest.data else {
      throw CheckpointError.otherData(run: run, saved: manifest.data, given: given)
    }
    var definition = definition
    var version = try WeightsVersion(of: checkpoint, definition)
    var memory = ReplayedMemory(
      manifest,
      files: try StoredRows(
        in: "\(run)/memory", shards: shards, layout: definition.extentLayout(run: manifest.run), storage: storage),
      rowType: definition.rowType)
    while true {
      try apply(changesOf: version.step, to: &definition, &version)
      let blocks = try checkpoint.withRows {
        try memory.blocks(
          definition.blockDraw(of: version.memoryVersion),
          seeded: definition.seededRows)
      }.map { $0.rounded(to: definition.precision) }
      let isLast = version.step == step
      let wanted = slice.flatMap { isLast ? $0..<$0 + 1 : nil } ?? 0..<definition.slices
      let computed = try compute(wanted, definition, version, blocks, data, watching: isLast)
      guard let sum = computed.sum.total else {
        return Report(step: step, checkpointStep: manifest.step, slices: computed.slices, total: nil)
      }
      do {
        let (next, update) = try version.next(sum, definition) { FloatBuffer(count: definition.layout.count) }
        memory.append(
          definition.gatherRows(sum.tail, into: FloatBuffer(count: definition.slices * definition.rowFloats)))
        version = next
        version.rows = memory.rows
        version.memory = memory.digest.state
        guard isLast else { continue }
        return Report(
          step: step, checkpointStep: manifest.step, slices: computed.slices,
          total: total(sum, gradientNorm: update.gradientNorm, next: version))
      } catch RunError.notFinite where isLast {
        return Report(
          step: step, checkpointStep: manifest.step, slices: computed.slices,
          total: total(sum, gradientNorm: Self.norm(sum.gradient), next: nil))
      }
    }
  }

  private static func norm(_ gradient: FloatBuffer) -> Double { sumOfSquares(gradient.vector).squareRoot() }

  /// From a step on that a run was resumed at with other settings, they count.
  private func apply(changesOf step: Int, to definition: inout RunDefinition, _ version: inout WeightsVersion) throws {
    let due = changes.filter { $0.step == step }
    guard !due.isEmpty else { return }
    let old = definition.configuration
    let layer = try ConfigurationLayer(assignments: due.filter { !$0.isOfFloor }.map { "\($0.key)=\($0.to)" })
    definition = try RunDefinition(configuration: old.changed(by: [layer]), pictures: definition.pictures)
    version.floor = definition.floor(version.floor, rows: version.rows, memoryWas: old.memorySize)
    for change in due where change.isOfFloor { version.floor = max(version.floor, Int(change.to) ?? 0) }
  }

  /// What the threads of a step share.
  private struct Computed {
    var sum: TreeSum<SliceSum>
    var slices: [Slice] = []
    var failure: (any Error)?
  }

  private func compute(
    _ slices: Range<Int>, _ definition: RunDefinition, _ version: WeightsVersion, _ blocks: [Factor], _ data: DataSet,
    watching: Bool
  ) throws -> (sum: TreeSum<SliceSum>, slices: [Slice]) {
    let state = Mutex(Computed(sum: TreeSum(tree: definition.tree)))
    let lost = Set(lost.lazy.filter { $0.step <= version.step }.map(\.picture))
    let next = Atomic(slices.lowerBound)
    let student = NetworkWeights(version.student, definition.precision)
    let teacher = NetworkWeights(version.teacher, definition.precision)
    // Only read, by all threads.
    nonisolated(unsafe) let blocks = blocks
    forEachChunk(min(slices.count, Allowance.current.processors.usable)) { _ in
      do {
        let computer = try SliceComputer(definition)
        while true {
          let slice = next.wrappingAdd(1, ordering: .relaxed).oldValue
          guard slice < slices.upperBound, state.withLock({ $0.failure == nil }) else { return }
          let gradient = FloatBuffer(count: definition.layout.count)
          var first: NotFinitePlace?
          let sum: SliceSum
          if watching {
            (sum, first) = try computer.computeWatching(
              step: version.step, slice: slice, student: student, teacher: teacher, blocks: blocks,
              into: gradient, without: lost, bytes: { try data.read($0) })
          } else {
            sum = try computer.compute(
              step: version.step, slice: slice, student: student, teacher: teacher, blocks: blocks,
              into: gradient, without: lost, bytes: { try data.read($0) })
          }
          let report = watching ? Self.report(sum, first, data) : nil
          state.withLock { state in
            if let report { state.slices.append(report) }
            state.sum.insert(sum, at: sum.slices) { SliceSum.adding($0, $1) }
          }
        }
      } catch {
        state.withLock { $0.failure = $0.failure ?? error }
      }
    }
    let computed = state.withLock { ($0.sum, $0.slices.sorted { $0.slice < $1.slice }, $0.failure) }
    if let failure = computed.2 { throw failure }
    return (computed.0, computed.1)
  }

  private static func report(_ sum: SliceSum, _ first: NotFinitePlace?, _ data: DataSet) -> Slice {
    let loss = sum.losses[0]
    return Slice(
      slice: sum.slices.first, consistency: loss.consistency, koleo: loss.koleo, targetEntropy: loss.targetEntropy,
      gradientNorm: norm(sum.gradient), payload: sum.payloadDigest,
      isFinite: loss.total.isFinite && loss.targetEntropy.isFinite && isFiniteBuffer(sum.gradient)
        && isFiniteBuffer(sum.tail),
      firstNotFinite: first.map {
        Place(part: $0.part.rawValue, layer: $0.layer, view: $0.view, picture: $0.picture.map(data.path))
      },
      undecodable: sum.undecodable.map { data.path($0.picture) })
  }

  private static func isFiniteBuffer(_ buffer: FloatBuffer) -> Bool { Numerics.isFinite(buffer.vector) }

  private func total(_ sum: SliceSum, gradientNorm: Double, next: WeightsVersion?) -> Total {
    let consistency = sum.losses.reduce(0) { $0 + $1.consistency }
    let koleo = sum.losses.reduce(0) { $0 + $1.koleo }
    return Total(
      consistency: consistency, koleo: koleo, gradientNorm: gradientNorm,
      isFinite: (consistency + koleo).isFinite && gradientNorm.isFinite, student: next?.studentDigest,
      teacher: next?.teacherDigest, memory: next?.memory)
  }
}

// MARK: - Showing

extension StepReplay.Report {
  public func json() -> String {
    let encoder = JSONEncoder.readable
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  public func text() -> String {
    var lines = ["step \(step), computed again from the checkpoint of step \(checkpointStep)"]
    lines.append("  slice  consistency      koleo    entropy  gradient norm  payload")
    for slice in slices {
      lines.append(
        Self.cell("\(slice.slice)", 7) + Self.cell(slice.consistency, 13) + Self.cell(slice.koleo, 11)
          + Self.cell(slice.targetEntropy, 11) + Self.cell(slice.gradientNorm, 15) + "  \(slice.payload)")
    }
    for slice in slices {
      lines += slice.undecodable.map {
        "slice \(slice.slice): \($0) cannot be decoded or is lost, another picture is in its place"
      }
      if let place = slice.firstNotFinite {
        lines.append("slice \(slice.slice) is not finite; the first such value: \(place)")
      }
    }
    if let total {
      lines.append(
        "loss \(Self.number(total.consistency + total.koleo)), gradient norm \(Self.number(total.gradientNorm))")
      if let student = total.student, let teacher = total.teacher, let memory = total.memory {
        lines += ["student  \(student)", "teacher  \(teacher)", "memory   \(memory)"]
      } else {
        lines.append("The next weights cannot be made: the gradient of the whole step is not finite.")
      }
    }
    if isFinite { lines.append("everything is finite") }
    return lines.joined(separator: "\n")
  }

  private static func number(_ value: Double) -> String {
    // A NaN's sign means nothing.
    value.isNaN ? "nan" : String(format: "%.6g", value)
  }

  private static func cell(_ value: Double, _ width: Int) -> String { cell(number(value), width) }

  private static func cell(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
