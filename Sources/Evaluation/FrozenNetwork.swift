import Checkpoints
import Configuration
import Networks
import Numerics
import Training
import Vision
import WeightFiles

/// A trained backbone, read from a file of tensors.
public struct FrozenNetwork: Sendable {
  public let configuration: RunConfiguration
  public let architecture: NetworkArchitecture
  public let layout: ParameterLayout
  /// Laid out by `layout`; the head's are 0.
  public let parameters: FloatBuffer
  /// Updates done when it was written; nil if the file does not say.
  public let step: Int?
  /// What people should know before they read a figure, a sentence each.
  public let notes: [String]

  /// - Throws: `WeightFileError`; `CheckpointError` of a tensor of another shape.
  public init(_ file: NetworkFile) throws {
    configuration = file.configuration
    architecture = file.architecture
    layout = file.layout
    step = file.step
    // Before there is memory for a network that the file only claims to have.
    try file.network.check(architecture)
    parameters = FloatBuffer(count: layout.count)
    let backbone = try file.network.read(layout, into: parameters)
    notes = try file.notes + backbone.notes + Self.notes(onRestOf: file.network, backbone.used)
  }

  /// On the tensors that no feature follows from.
  private static func notes(onRestOf network: PretrainedNetwork, _ used: Set<String>) throws -> [String] {
    var notes: [String] = []
    var unknown: [String] = []
    let file = network.file
    for tensor in file.header.tensors where !used.contains(tensor.name) {
      let name = tensor.name.dropFirst(network.prefix.count)
      // A classifier, and what stands for hidden patches in training.
      if tensor.name.hasPrefix(network.prefix), !name.hasPrefix("head"), !name.hasSuffix("mask_token") {
        unknown.append(tensor.name)
      }
      if tensor.type.isFloat, try file.floats(of: tensor.name).contains(where: { !$0.isFinite }) {
        notes.append("\(file.path): tensor '\(tensor.name)', which features do not need, is not finite.")
      }
    }
    if let first = unknown.first {
      notes.append(
        "\(file.path) has \(unknown.count) tensors that this network has no place for ('\(first)' first): "
          + "its features may be others than those that it was trained for.")
    }
    return notes
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
