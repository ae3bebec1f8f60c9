import Durability
import Numerics

/// One checkpoint on disk: a directory with the manifest and the files that it names.
public struct Checkpoint: Sendable {
  public static let studentFile = "student.safetensors"
  public static let teacherFile = "teacher.safetensors"
  public static let optimizerFile = "optimizer.safetensors"
  public static let manifestFile = "manifest.json"

  public let path: String
  public let manifest: Manifest
  private let storage: any Storage

  /// Reads and checks the manifest; the files that it names are not looked at.
  /// - Throws: `CheckpointError.damaged`, `.newerFormat`; `DurabilityError`.
  public init(_ path: String, in storage: any Storage) throws {
    self.path = path
    self.storage = storage
    let file = "\(path)/\(Self.manifestFile)"
    manifest = try SealedJSON.value(
      Manifest.self, from: try storage.readWhole(file, limit: SealedJSON.sizeAtMost), file: file,
      version: Manifest.formatVersion)
    for (field, number) in manifest.numbers where !(0..<Manifest.numbersBelow).contains(number) {
      throw CheckpointError.damaged(file: file, tensor: nil, reason: "has the impossible \(field) \(number)")
    }
  }

  /// Reads every byte and compares it with the manifest's digests.
  /// - Throws: `CheckpointError.damaged`, naming the file, and the tensor where the damage is in one.
  public func verify() throws {
    for name in manifest.files.keys.sorted() {
      let file = try open(name)
      for tensor in file.header.tensors { try check(file.digest(of: tensor.name), of: tensor.name, in: name) }
    }
  }

  /// Fills the content's buffers from the files, checking digests on the way; files without a group are not read.
  /// - Throws: `CheckpointError.damaged`; `.missingTensor` or `.otherShape` if the content is of another architecture.
  public func load(_ content: CheckpointContent) throws {
    for (name, groups) in content.files where !groups.isEmpty {
      let file = try open(name)
      for group in groups {
        for entry in group.entries {
          try file.read(group.prefix + entry.name, into: entry, of: group.buffer)
          let digest = group.buffer.withBytes(of: entry.range) { Digest(of: $0) }
          try check(digest, of: group.prefix + entry.name, in: name)
        }
      }
    }
  }

  private func open(_ name: String) throws -> SafetensorsFile {
    let path = "\(path)/\(name)"
    guard let record = manifest.files[name] else {
      throw CheckpointError.damaged(file: path, tensor: nil, reason: "is not in the manifest")
    }
    let file: SafetensorsFile
    do {
      file = try SafetensorsFile(path, in: storage)
    } catch CheckpointError.malformed(_, let tensor, let reason) {
      throw CheckpointError.damaged(file: path, tensor: tensor, reason: reason)
    } catch let error as DurabilityError where error.isAbsence {
      throw CheckpointError.damaged(file: path, tensor: nil, reason: "is not there")
    }
    guard file.headerDigest == record.header else {
      throw CheckpointError.damaged(file: path, tensor: nil, reason: "has a header that does not match its digest")
    }
    return file
  }

  private func check(_ digest: Digest, of tensor: String, in name: String) throws {
    guard manifest.files[name]?.tensors[tensor] == digest else {
      throw CheckpointError.damaged(file: "\(path)/\(name)", tensor: tensor, reason: "does not match its digest")
    }
  }
}
