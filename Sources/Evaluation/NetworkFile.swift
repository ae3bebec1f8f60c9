import Checkpoints
import Configuration
import Durability
import Networks
import Training

/// A file of tensors, and which network it is of: its metadata say so, or the shapes of its tensors and what is given.
public struct NetworkFile: Sendable {
  public let configuration: RunConfiguration
  public let architecture: NetworkArchitecture
  public let layout: ParameterLayout
  /// Updates done when it was written; nil if the file does not say.
  public let step: Int?
  /// What was taken for granted, a sentence each.
  public let notes: [String]

  let file: SafetensorsFile
  /// Before the names of the backbone's tensors in the file.
  let prefix: String

  /// - Parameters:
  ///   - path: a safetensors file of a checkpoint or an export, or of a backbone by itself.
  ///   - given: keys and their values, over what the file says.
  /// - Throws: `EvaluationError`, `CheckpointError`, `ConfigurationError`, `DurabilityError`.
  public init(
    _ path: String, given: [(name: String, text: String)] = [], in storage: any Storage = FileStorage()
  ) throws {
    file = try SafetensorsFile(path, in: storage)
    let shapes = try BackboneShapes(file)
    prefix = shapes.prefix
    let flags = try ConfigurationLayer(flags: given)
    if let text = file.header.metadata["configuration"] {
      configuration = try RunConfiguration(layers: [ConfigurationLayer(recipe: text, file: path), flags])
      notes = []
    } else {
      let named = given.map { $0.name.replacing("-", with: "_") }
      let read = try shapes.settings(of: path, headsAreGiven: named.contains { $0 == "arch" || $0 == "num_heads" })
      // Local views do not matter here, but the keys have to fit together.
      let side = given.last { $0.name.replacing("-", with: "_") == "image_size" }?.text ?? read["image_size"]
      let rest = ["local_size": side ?? ""]
      configuration = try RunConfiguration(layers: [
        ConfigurationLayer(flags: read.map { ($0.key, $0.value) }), flags,
        ConfigurationLayer(flags: rest.map { ($0.key, $0.value) }),
      ])
      let taken = read.keys.sorted().filter { !named.contains($0) }.map { "\($0) \(read[$0] ?? "")" }
      notes = [
        "\(path) does not say which network it is of. Of its tensors' shapes and names: \(taken.joined(separator: ", ")). "
          + "Pictures are normalised with the mean and deviation of ImageNet."
      ]
    }
    architecture = try NetworkArchitecture(configuration)
    layout = ParameterLayout(architecture)
    step = file.header.metadata["step"].flatMap { Int($0) }
  }
}

/// What a file's tensors say of the backbone.
private struct BackboneShapes {
  let prefix: String
  private let file: SafetensorsFile
  private let names: Set<String>

  private static let classToken = "cls_token"

  init(_ file: SafetensorsFile) throws {
    self.file = file
    names = Set(file.header.tensors.map(\.name))
    let found = names.filter { $0 == Self.classToken || $0.hasSuffix("." + Self.classToken) }
    guard let name = found.min(by: { ($0.count, $0) < ($1.count, $1) }) else {
      throw EvaluationError.noBackbone(file: file.path, reason: "no tensor is called \(Self.classToken)")
    }
    prefix = String(name.dropLast(Self.classToken.count))
  }

  /// Keys and values, as text.
  func settings(of path: String, headsAreGiven: Bool) throws -> [String: String] {
    let token = try shape("cls_token", extents: 3)
    let patch = try shape("patch_embed.proj.weight", extents: 4)
    let positions = try shape("pos_embed", extents: 3)
    let (width, patchSize) = (token[2], patch[3])
    var side = 1
    while (side + 1) * (side + 1) < positions[1] { side += 1 }
    guard side * side + 1 == positions[1] else {
      throw EvaluationError.noBackbone(
        file: path, reason: "pos_embed has \(positions[1]) tokens, which are no square and a class token")
    }
    var depth = 0
    while names.contains("\(prefix)blocks.\(depth).norm1.weight") { depth += 1 }
    guard depth > 0 else { throw EvaluationError.noBackbone(file: path, reason: "there is no blocks.0.norm1.weight") }
    var settings = [
      "embed_dim": "\(width)", "depth": "\(depth)", "patch_size": "\(patchSize)", "image_size": "\(side * patchSize)",
      "use_mean_pooling": "\(names.contains("\(prefix)fc_norm.weight"))",
    ]
    if !headsAreGiven {
      let named = ArchitectureName.allCases.compactMap(\.dimensions).first { $0.embedDim == width }
      guard let named else { throw EvaluationError.unknownHeads(file: path, embedDim: width) }
      settings["num_heads"] = "\(named.numHeads)"
    }
    return settings
  }

  private func shape(_ name: String, extents: Int) throws -> [Int] {
    let shape = try file.tensor(prefix + name).shape
    guard shape.count == extents, shape.allSatisfy({ $0 > 0 }) else {
      throw EvaluationError.noBackbone(file: file.path, reason: "\(name) has shape \(shape)")
    }
    return shape
  }
}
