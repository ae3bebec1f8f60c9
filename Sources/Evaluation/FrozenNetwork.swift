import Checkpoints
import Configuration
import Networks
import Numerics
import Training
import Vision

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

  /// - Throws: `EvaluationError.notFinite`; `CheckpointError` of a tensor that is missing or of another shape.
  public init(_ file: NetworkFile) throws {
    configuration = file.configuration
    architecture = file.architecture
    layout = file.layout
    step = file.step
    parameters = FloatBuffer(count: layout.count)
    var read: Set<String> = []
    for tensor in layout.tensors where tensor.name.hasPrefix(Self.backbone) {
      let name = file.prefix + tensor.name.dropFirst(Self.backbone.count)
      try file.file.read(name, into: TensorEntry(tensor), of: parameters)
      read.insert(name)
      let values = parameters.vector(at: tensor.range.lowerBound, count: tensor.range.count)
      if !isFinite(values) {
        throw EvaluationError.notFinite(
          file: file.file.path, tensor: name, count: (0..<values.count).count { !values[$0].isFinite })
      }
    }
    notes = try file.notes + Self.notes(onRestOf: file, read)
  }

  /// In the names of a layout.
  private static let backbone = "backbone."

  /// On the tensors that no feature follows from.
  private static func notes(onRestOf file: NetworkFile, _ read: Set<String>) throws -> [String] {
    var notes: [String] = []
    var unknown: [String] = []
    for tensor in file.file.header.tensors where !read.contains(tensor.name) {
      if tensor.name.hasPrefix(file.prefix), !tensor.name.dropFirst(file.prefix.count).hasPrefix("head") {
        unknown.append(tensor.name)
      }
      if tensor.type.isFloat, try file.file.floats(of: tensor.name).contains(where: { !$0.isFinite }) {
        notes.append("\(file.file.path): tensor '\(tensor.name)', which features do not need, is not finite.")
      }
    }
    if let first = unknown.first {
      notes.append(
        "\(file.file.path) has \(unknown.count) tensors that this network has no place for ('\(first)' first): "
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
