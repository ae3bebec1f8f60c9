import Durability
import Foundation
import Numerics
import Printing

/// What is in a run directory, a checkpoint or a safetensors file, for people and programs to look at.
public enum Inspection: Sendable {
  case run(Run)
  case checkpoint(CheckpointSummary)
  case safetensors(TensorFile)

  public struct Run: Encodable, Sendable {
    public var run: Digest
    public var pictures: Int
    /// As the run was started, a recipe.
    public var configuration: String
    /// Oldest first.
    public var checkpoints: [CheckpointSummary]
  }

  public struct CheckpointSummary: Encodable, Sendable {
    public var path: String
    /// Nil for a checkpoint whose manifest cannot be read.
    public var manifest: Manifest?
    /// Why it cannot be resumed from; nil for a whole one.
    public var damage: String?
  }

  public struct TensorFile: Encodable, Sendable {
    public struct Tensor: Encodable, Sendable {
      public var name: String
      public var type: String
      public var shape: [Int]
      public var digest: Digest
    }
    public var path: String
    public var metadata: [String: String]
    public var tensors: [Tensor]
    /// Elements in all tensors.
    public var elements: Int
  }

  /// Looks at everything there, and compares it with its digests.
  /// - Throws: `CheckpointError.notARun` if there is none of the three; `.malformed`; `DurabilityError`.
  public init(of path: String, in storage: any Storage) throws {
    guard try storage.exists(path) else {
      throw DurabilityError.failed(operation: .open, path: path, number: ENOENT)
    }
    if try RunDirectory.isRun(path, in: storage) {
      self = .run(try Run(path, in: storage))
    } else if try storage.exists("\(path)/\(Checkpoint.manifestFile)") {
      self = .checkpoint(try CheckpointSummary(path, in: storage))
    } else if (try? storage.list(path)) != nil {
      throw CheckpointError.notARun(directory: path)
    } else {
      self = .safetensors(try TensorFile(path, in: storage))
    }
  }

  public var isDamaged: Bool {
    switch self {
    case .run(let run): run.checkpoints.contains { $0.damage != nil }
    case .checkpoint(let checkpoint): checkpoint.damage != nil
    case .safetensors: false
    }
  }
}

// MARK: - Looking

extension Inspection.Run {
  fileprivate init(_ path: String, in storage: any Storage) throws {
    let record = try RunDirectory.identity(of: path, in: storage)
    run = record.run
    pictures = record.data.count
    configuration = try RunDirectory.configuration(of: path, in: storage)
    let directory = try RunDirectory.checkpoints(of: path, in: storage)
    checkpoints = try (directory?.steps() ?? []).map { step in
      try Inspection.CheckpointSummary(path + "/checkpoints/" + CheckpointDirectory.name(of: step), in: storage)
    }
  }
}

extension Inspection.CheckpointSummary {
  fileprivate init(_ path: String, in storage: any Storage) throws {
    self.path = path
    do {
      let checkpoint = try Checkpoint(path, in: storage)
      manifest = checkpoint.manifest
      try checkpoint.verify()
    } catch let error as CheckpointError {
      damage = "\(error)"
    } catch let error as DurabilityError {
      damage = "\(error)"
    }
  }
}

extension Inspection.TensorFile {
  fileprivate init(_ path: String, in storage: any Storage) throws {
    let file = try SafetensorsFile(path, in: storage)
    self.path = path
    metadata = file.header.metadata
    tensors = try file.header.tensors.map {
      Tensor(name: $0.name, type: $0.type.rawValue, shape: $0.shape, digest: try file.digest(of: $0.name))
    }
    elements = file.header.tensors.reduce(0) { $0 + $1.count }
  }
}

// MARK: - Showing

extension Inspection {
  public func json() -> String {
    let encoder = JSONEncoder.readable
    let bytes =
      switch self {
      case .run(let run): try? encoder.encode(run)
      case .checkpoint(let checkpoint): try? encoder.encode(checkpoint)
      case .safetensors(let file): try? encoder.encode(file)
      }
    return bytes.map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  public func text() -> String {
    switch self {
    case .run(let run):
      var lines = ["run         \(run.run)", "pictures    \(run.pictures)"]
      lines += run.checkpoints.map { "checkpoint  \($0.line)" }
      if run.checkpoints.isEmpty { lines.append("checkpoint  none yet") }
      return Self.joined(lines) + "\n\n\(run.configuration)"
    case .checkpoint(let checkpoint):
      var lines = ["checkpoint  \(checkpoint.line)"]
      if let manifest = checkpoint.manifest {
        lines += [
          "run         \(manifest.run), incarnation \(manifest.incarnation)", "student     \(manifest.student)",
          "teacher     \(manifest.teacher)", "memory      \(manifest.memory), \(manifest.rows) rows",
          "optimizer   \(manifest.optimizer.kind), \(manifest.optimizer.steps) updates",
        ]
        lines += manifest.changes.map { "change      at step \($0.step): \($0.key) \($0.from) -> \($0.to)" }
        lines += manifest.files.sorted { $0.key < $1.key }.map {
          "file        \($0.key): \($0.value.size) bytes, \($0.value.tensors.count) tensors"
        }
        return Self.joined(lines) + "\n\n\(manifest.configuration)"
      }
      return Self.joined(lines)
    case .safetensors(let file):
      var lines = file.metadata.sorted { $0.key < $1.key }.filter { !$0.value.contains("\n") }.map {
        "metadata    \($0.key): \($0.value)"
      }
      lines.append("tensors     \(file.tensors.count), \(file.elements) elements")
      lines += file.tensors.map { "  \($0.name)  \($0.type) \($0.shape)  \($0.digest)" }
      return Self.joined(lines)
    }
  }

  /// A name in a file begins no line of its own.
  private static func joined(_ lines: [String]) -> String { lines.map(\.printable).joined(separator: "\n") }
}

extension Inspection.CheckpointSummary {
  fileprivate var line: String {
    let state = damage ?? "whole"
    guard let manifest else { return "\(path): \(state)" }
    let kept = manifest.weightsOnly.map { ", kept for good: \($0 ? "weights only" : "with its memory")" } ?? ""
    return "\(path): step \(manifest.step), epoch \(manifest.epoch), \(state)\(kept)"
  }
}
