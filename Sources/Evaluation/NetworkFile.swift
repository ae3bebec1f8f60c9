import Checkpoints
import Configuration
import Durability
import Networks
import Training
import WeightFiles

/// A file of tensors, and which network it is of: its metadata say so, or the shapes of its tensors and what is given.
public struct NetworkFile: Sendable {
  public let configuration: RunConfiguration
  public let architecture: NetworkArchitecture
  public let layout: ParameterLayout
  /// Updates done when it was written; nil if the file does not say.
  public let step: Int?
  /// What was taken for granted, a sentence each.
  public let notes: [String]

  let network: PretrainedNetwork

  /// - Parameters:
  ///   - path: a safetensors file of a checkpoint or an export, or of a backbone by itself.
  ///   - given: keys and their values, over what the file says.
  /// - Throws: `EvaluationError`, `WeightFileError`, `CheckpointError`, `ConfigurationError`, `DurabilityError`.
  public init(
    _ path: String, given: [(name: String, text: String)] = [], in storage: any Storage = FileStorage()
  ) throws {
    network = try PretrainedNetwork(path, in: storage)
    let metadata = network.file.header.metadata
    let flags = try ConfigurationLayer(flags: given)
    if let text = metadata["configuration"] {
      configuration = try RunConfiguration(layers: [ConfigurationLayer(recipe: text, file: path), flags])
      notes = []
    } else {
      let named = given.map { $0.name.replacing("-", with: "_") }
      let read = try Self.settings(of: network, headsAreGiven: named.contains { $0 == "arch" || $0 == "num_heads" })
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
    step = metadata["step"].flatMap { Int($0) }
  }
}

extension NetworkFile {
  /// Keys and values, as text, of what a network's shapes say.
  private static func settings(of network: PretrainedNetwork, headsAreGiven: Bool) throws -> [String: String] {
    let shape = network.shape
    var settings = [
      "embed_dim": "\(shape.embedDim)", "depth": "\(shape.depth)", "patch_size": "\(shape.patchSize)",
      "image_size": "\(shape.imageSize)", "use_mean_pooling": "\(shape.useMeanPooling)",
      "registers": "\(shape.registers)",
    ]
    if !headsAreGiven {
      let named = ArchitectureName.allCases.compactMap(\.dimensions).first { $0.embedDim == shape.embedDim }
      guard let named else {
        throw EvaluationError.unknownHeads(file: network.file.path, embedDim: shape.embedDim)
      }
      settings["num_heads"] = "\(named.numHeads)"
    }
    return settings
  }
}
