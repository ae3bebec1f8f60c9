import Checkpoints
import Configuration
import Durability
import Foundation
import Printing

/// What a run directory shows beside its metrics: checkpoints, the log's end, and a key of the configuration.
struct RunFiles: Sendable {
  /// Of the log, at most.
  private static let logBytes = 8192
  private static let logLines = 40
  /// Checkpoints that are shown: the last few are kept, and those for good may be many.
  private static let checkpointsShown = 12
  /// Below room for so many checkpoints, and so many bytes, a disk is nearly full.
  private static let checkpointsNeeded = 3
  private static let leastRoom = 1 << 30

  struct Checkpoint: Sendable, Equatable {
    let step: Int
    /// When its manifest was written, in seconds since 1970.
    let unixSeconds: Double
  }

  let run: String

  /// Newest first.
  func checkpoints() -> [Checkpoint] {
    let directory = try? RunDirectory.checkpoints(of: run, in: FileStorage())
    let steps = (try? directory?.steps()) ?? []
    return steps.suffix(Self.checkpointsShown).reversed().compactMap { step in
      let path = "\(folder(ofStep: step))/manifest.json"
      guard let date = try? FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date else {
        return nil
      }
      return Checkpoint(step: step, unixSeconds: date.timeIntervalSince1970)
    }
  }

  private func folder(ofStep step: Int) -> String {
    "\(run)/checkpoints/\(CheckpointDirectory.name(of: step))"
  }

  /// What is left on the run's disk, and what some checkpoints like its newest one need, at least a gibibyte.
  func room(for step: Int?) -> RunEvents.Room? {
    guard let free = try? FileStorage().freeSpace(at: run) else { return nil }
    let files = step.flatMap { try? FileManager.default.contentsOfDirectory(atPath: folder(ofStep: $0)) } ?? []
    let sizes = files.compactMap { name in
      step.flatMap { try? FileManager.default.attributesOfItem(atPath: "\(folder(ofStep: $0))/\(name)")[.size] as? Int }
    }
    return RunEvents.Room(free: free, needed: max(Self.leastRoom, Self.checkpointsNeeded * sizes.reduce(0, +)))
  }

  /// The newest whole lines of the coordinator's log, escaped; oldest first.
  func logTail() -> [String] {
    guard let file = FileHandle(forReadingAtPath: "\(run)/coordinator.log"), let size = try? file.seekToEnd() else {
      return []
    }
    defer { try? file.close() }
    let start = size > Self.logBytes ? size - UInt64(Self.logBytes) : 0
    try? file.seek(toOffset: start)
    guard let bytes = try? file.read(upToCount: Self.logBytes) else { return [] }
    let lines = bytes.split(separator: UInt8(ascii: "\n"))
    return lines.dropFirst(start > 0 ? 1 : 0).suffix(Self.logLines).map { String(printing: $0) }
  }

  /// Rows in a memory block: the logarithm is the largest entropy that targets have. Nil before the run has begun.
  func blockSize() -> Int? {
    guard let text = try? RunDirectory.newestConfiguration(of: run, in: FileStorage()),
      let layer = try? ConfigurationLayer(recipe: text, file: "\(run)/config.yaml")
    else { return nil }
    return try? RunConfiguration(layers: [layer]).blockSize
  }
}
