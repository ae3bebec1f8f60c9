import Checkpoints
import Configuration
import Durability
import Networks
import Numerics
import Training
import Vision

/// A trained network, read from a file of tensors that says of itself what it is of.
public struct FrozenNetwork: Sendable {
  public let configuration: RunConfiguration
  public let architecture: NetworkArchitecture
  public let layout: ParameterLayout
  /// Laid out by `layout`.
  public let parameters: FloatBuffer
  /// Updates done when it was written; nil if the file does not say.
  public let step: Int?

  /// - Parameter path: a safetensors file of a checkpoint or an export.
  /// - Throws: `EvaluationError.noConfiguration`; `CheckpointError`, `ConfigurationError`, `DurabilityError`.
  public init(file path: String, in storage: any Storage = FileStorage()) throws {
    let file = try SafetensorsFile(path, in: storage)
    guard let text = file.header.metadata["configuration"] else { throw EvaluationError.noConfiguration(file: path) }
    configuration = try RunConfiguration(layers: [ConfigurationLayer(recipe: text, file: path)])
    architecture = try NetworkArchitecture(configuration)
    layout = ParameterLayout(architecture)
    parameters = try file.parameters(layout)
    step = file.header.metadata["step"].flatMap { Int($0) }
  }
}

extension FrozenNetwork {
  /// As its pictures were normalised in training.
  public var normalization: Normalization {
    let views = ViewSettings(configuration)
    return Normalization(mean: views.mean, deviation: views.deviation)
  }

  /// The same network before its first step.
  public var untrained: FloatBuffer { initialParameters(layout: layout, seed: configuration.seed) }
}
