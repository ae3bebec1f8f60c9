/// Why a run cannot be resumed from its directory, or a file of tensors not be read.
public enum CheckpointError: Error, Equatable, CustomStringConvertible {
  /// A checkpoint's file does not hold what its manifest says; no tensor if the file as a whole is not readable.
  case damaged(file: String, tensor: String?, reason: String)
  /// A file that says what the run is does not hold what was written.
  case damagedRecord(file: String, reason: String)
  /// The record of hosts in quarantine cannot be read.
  case damagedQuarantine(file: String, reason: String)
  /// A safetensors file that is not as the format wants it.
  case malformed(file: String, tensor: String?, reason: String)
  /// What `torch.save` writes, where safetensors is wanted.
  case pyTorch(file: String)
  /// A tensor that is wanted is not in the file.
  case missingTensor(file: String, tensor: String)
  case otherShape(file: String, tensor: String, found: [Int], expected: [Int])
  case otherData(run: String, saved: DataRecord, given: DataRecord)
  case noCheckpoint(directory: String)
  case noSuchStep(directory: String, step: Int, present: [Int])
  /// A checkpoint that was kept for its weights, whose memory rows are gone.
  case weightsOnly(checkpoint: String)
  case newerFormat(file: String, version: Int, supported: Int)
  /// The directory is no run: it has something else in it, or nothing.
  case notARun(directory: String)
  /// Something is there already where a new run was to be made.
  case notEmpty(directory: String)
  /// Files of a checkpoint belong to another run.
  case otherRun(file: String, found: String, expected: String)

  public var description: String {
    switch self {
    case .damaged(let file, let tensor, let reason):
      "\(file) is damaged: \(Self.subject(tensor)) \(reason). Delete that step's directory to resume from the one before."
    case .damagedRecord(let file, let reason):
      "\(file) is damaged: it \(reason). Restore it from a backup: without it the run cannot go on."
    case .damagedQuarantine(let file, let reason):
      "\(file) is damaged: it \(reason). Mend it, or delete it to let every host in again: the next one found wrong will "
        + "be in a new one."
    case .malformed(let file, let tensor, let reason):
      "\(file) is not a sound safetensors file: \(Self.subject(tensor)) \(reason). Write or copy it anew."
    case .pyTorch(let file):
      "\(file) is a PyTorch file (torch.save), not safetensors. Write its state dict anew, in Python: import torch; from "
        + "safetensors.torch import save_file; weights = torch.load('\(file)', map_location='cpu', weights_only=True); "
        + "save_file(weights, '\(Self.stem(file)).safetensors'). If the state dict is a part of what was saved, give "
        + "save_file that part, weights['model'] say."
    case .missingTensor(let file, let tensor):
      "\(file) has no tensor '\(tensor)'. Give a file of the same architecture."
    case .otherShape(let file, let tensor, let found, let expected):
      "\(file): tensor '\(tensor)' has shape \(found), not \(expected). Give a file of the same architecture."
    case .otherData(let run, let saved, let given) where saved.count != given.count:
      "\(run) was started on \(saved.count) pictures; --data has \(given.count). Give the same data set to resume it; "
        + Self.otherWays(run)
    case .otherData(let run, let saved, _):
      "\(run) was started on \(saved.count) pictures of other names or sizes than those in --data. Give the same data "
        + "set to resume it; " + Self.otherWays(run)
    case .noCheckpoint(let directory):
      "\(directory) has no whole checkpoint. Give the directory of a run that has written one."
    case .noSuchStep(let directory, let step, let present):
      "\(directory) has no checkpoint of step \(step). "
        + (present.isEmpty
          ? "It has none at all." : "It has those of \(present.map(String.init).joined(separator: ", ")).")
    case .weightsOnly(let checkpoint):
      "\(checkpoint) was kept for its weights alone: the memory rows that training goes on from are gone. Give the step "
        + "of a newer checkpoint (massl inspect says which hold rows); evaluate and export take this one as it is."
    case .newerFormat(let file, let version, let supported):
      "\(file) has format \(version); this massl reads formats up to \(supported). Use the massl that wrote it."
    case .notARun(let directory):
      "\(directory) holds no run. Give --run the directory of a run, or, to start one, a new or empty directory."
    case .notEmpty(let directory):
      "\(directory) is there already. Give the new run a directory that is not."
    case .otherRun(let file, let found, let expected):
      "\(file) belongs to run \(found), not to \(expected). Move it out of this run's directory."
    }
  }

  private static func otherWays(_ run: String) -> String {
    "massl fork --run \(run) --data DIR --to NEW goes on from its newest checkpoint with these, and another --run "
      + "starts afresh."
  }

  /// The path without what .pth, .pt, .bin or another word follows the last dot.
  private static func stem(_ file: String) -> Substring {
    let dot = file.lastIndex(of: ".")
    return dot.flatMap { dot in file[dot...].contains("/") ? nil : file[..<dot] } ?? file[...]
  }

  private static func subject(_ tensor: String?) -> String { tensor.map { "tensor '\($0)'" } ?? "it" }
}
