/// Why a file of weights is of no use.
public enum WeightFileError: Error, Equatable, CustomStringConvertible {
  /// No Vision Transformer.
  case noBackbone(file: String, reason: String)
  /// A network of other sizes than wanted.
  case otherNetwork(file: String, keys: [KeyOfFile])
  /// Tensors that a backbone cannot do without.
  case missingTensors(file: String, names: [String])
  case notFinite(file: String, tensor: String, count: Int)

  public var description: String {
    switch self {
    case .noBackbone(let file, let reason):
      "\(file) holds no Vision Transformer that massl knows: \(reason). Give safetensors with the names of massl, of timm "
        + "(so have DINO, DINOv2, MAE and the reference), or of transformers."
    case .otherNetwork(let file, let keys):
      "\(file) is of another network: "
        + keys.map(\.words).joined(separator: "; ")
        + ". Give the file's: \(keys.contains { ["embed_dim", "depth"].contains($0.name) } ? "--arch custom " : "")"
        + keys.map { "--\($0.name.replacing("_", with: "-")) \($0.file)" }.joined(separator: " ") + "."
    case .missingTensors(let file, let names):
      "\(file) lacks \(names.count) tensors of the backbone: "
        + names.prefix(5).map { "'\($0)'" }.joined(separator: ", ") + (names.count > 5 ? " and others" : "")
        + ". Its network is built otherwise than massl's, so it cannot be used."
    case .notFinite(let file, let tensor, let count):
      "\(file): tensor '\(tensor)' has \(count) values that are not finite (NaN or infinity). Give the file of an earlier "
        + "step."
    }
  }
}

/// A key for which a file of weights has another value than is wanted.
public struct KeyOfFile: Sendable, Equatable {
  public let name: String
  public let file: Int
  public let wanted: Int

  /// "its depth is 12, not 4".
  public var words: String { "its \(name) is \(file), not \(wanted)" }

  public init(name: String, file: Int, wanted: Int) {
    self.name = name
    self.file = file
    self.wanted = wanted
  }
}
