import Networks
import Numerics

/// What a run begins with that goes on from somebody's weights.
public struct PretrainedWeights: Sendable {
  /// Of the student and of the teacher, laid out by the run's layout.
  public let parameters: FloatBuffer
  /// Running means and variances of the head's BatchNorms; nil without BatchNorm.
  public let statistics: FloatBuffer?
  /// How they were made of the file, for people.
  public let sentences: [String]
}

extension PretrainedNetwork {
  /// The first weights of a run: the file's backbone, and its head where it has one of the run's shape; else the head is
  /// drawn as that of any new run.
  /// - Parameter seed: the run's.
  /// - Throws: as `read`.
  public func weights(
    _ layout: ParameterLayout, _ statisticsLayout: StatisticsLayout, seed: UInt64
  ) throws -> PretrainedWeights {
    let parameters = initialParameters(layout: layout, seed: seed)
    let statistics = initialStatistics(layout: statisticsLayout)
    let sentences = try replace(
      parameters, statistics, layout, statisticsLayout, headBefore: "The head is drawn as a new run's.")
    return PretrainedWeights(parameters: parameters, statistics: statistics, sentences: sentences)
  }

  /// Puts the file's backbone, and its head where it has one of that shape, in the place of weights that are there.
  /// - Parameters:
  ///   - parameters: laid out by `layout`.
  ///   - statistics: laid out by `statisticsLayout`; nil without BatchNorm.
  ///   - headBefore: what to say of the head where it stays as it is.
  /// - Returns: how they were made of the file, for people.
  /// - Throws: as `read`.
  public func replace(
    _ parameters: FloatBuffer, _ statistics: FloatBuffer?, _ layout: ParameterLayout,
    _ statisticsLayout: StatisticsLayout, headBefore: String
  ) throws -> [String] {
    let backbone = try read(layout, into: parameters)
    let head = try readHead(layout, statisticsLayout, into: parameters, statistics)
    let whose = head.isEmpty ? ". \(headBefore)" : " and its head."
    var sentences =
      ["Begins with the backbone of \(path) (its names are \(naming.rawValue)'s)\(whose)"] + backbone.notes
    let unused = names.subtracting(backbone.used).subtracting(head).sorted()
    if !unused.isEmpty {
      let named = unused.prefix(4).map { "'\($0)'" }.joined(separator: ", ") + (unused.count > 4 ? " and others" : "")
      sentences.append("\(unused.count) of its tensors have no place in this network: \(named).")
    }
    return sentences
  }

  /// All of the head, or nothing.
  /// - Returns: the names of its tensors in the file.
  private func readHead(
    _ layout: ParameterLayout, _ statisticsLayout: StatisticsLayout, into parameters: FloatBuffer,
    _ statistics: FloatBuffer?
  ) throws -> Set<String> {
    guard prefix.hasSuffix(ParameterLayout.backbone) else { return [] }
    let prefix = String(prefix.dropLast(ParameterLayout.backbone.count))
    let head = layout.tensors.filter { !$0.name.hasPrefix(ParameterLayout.backbone) }
    let fits = try (head + statisticsLayout.tensors).allSatisfy {
      try names.contains(prefix + $0.name) && file.tensor(prefix + $0.name).shape == $0.shape
    }
    guard fits else { return [] }
    for tensor in head { parameters.replace(tensor.range, by: try finite(prefix + tensor.name)) }
    for tensor in statisticsLayout.tensors { statistics?.replace(tensor.range, by: try finite(prefix + tensor.name)) }
    return Set((head + statisticsLayout.tensors).map { prefix + $0.name })
  }
}
