import Checkpoints
import Foundation
import Networks
import Numerics
import Training

/// Replays a step in bf16, and compares how far it is from the reference's fp32 with how far PyTorch's autocast is.
///
/// The case has the step in fp32, and of autocast, over several draws of the rounding, the distance of each tensor. A
/// distance is the difference's norm over the norm; of gradients the angle counts too, as 1 minus its cosine.
enum MixedPrecisionCase {
  /// A distance may be so many times autocast's.
  private static let factor = 1.5

  /// - Precondition: `OneDNN.check()` does not throw.
  static func replay(_ fields: CaseFields, _ tensors: SafetensorsFile) throws -> [GoldenCase.Comparison] {
    let definition = try TrainingCase.definition(fields, steps: 1, precision: .bf16)
    let computer = try SliceComputer(definition)
    func weights(_ network: String) throws -> NetworkWeights {
      NetworkWeights(try tensors.parameters(definition.layout, prefix: "step0.\(network)."), definition.precision)
    }
    let gradient = FloatBuffer(count: definition.layout.count)
    let sum = computer.compute(
      step: 0, slice: 0, views: try TrainingCase.views("step0.", definition, tensors), student: try weights("student"),
      teacher: try weights("teacher"),
      blocks: try TrainingCase.blocks("step0.", definition, tensors).map { $0.rounded(to: definition.precision) },
      into: gradient)

    let autocast = try fields.object("autocast")
    let (distances, angles) = (try autocast.object("distance"), try autocast.object("angle"))
    var comparisons: [GoldenCase.Comparison] = []
    func compare(_ quantity: String, _ ours: [Float], with name: String) throws -> [Float] {
      let theirs = try tensors.floats(of: "step0." + name)
      comparisons.append(
        .init(quantity: quantity, difference: distance(ours, theirs), bound: factor * (try distances.number(quantity))))
      return theirs
    }
    _ = try compare("student embeddings", computer.studentEmbeddings.array, with: "student_embeddings")
    _ = try compare("teacher embeddings", computer.lastTeacherEmbeddings.array, with: "teacher_embeddings")
    _ = try compare("loss", [Float(sum.losses[0].total)], with: "loss")
    for tensor in definition.layout.tensors {
      let ours = Array(gradient.array[tensor.range])
      let theirs = try compare(tensor.name, ours, with: "gradient.\(tensor.name)")
      comparisons.append(
        .init(
          quantity: tensor.name + ", angle", difference: 1 - cosine(ours, theirs),
          bound: factor * factor * (try angles.number(tensor.name))))
    }
    return comparisons
  }

  /// |ours - theirs| / |theirs|; infinite when the counts differ.
  private static func distance(_ ours: [Float], _ theirs: [Float]) -> Double {
    guard ours.count == theirs.count else { return .infinity }
    let difference = zip(ours, theirs).reduce(0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
    return (difference / product(theirs, theirs)).squareRoot()
  }

  private static func cosine(_ ours: [Float], _ theirs: [Float]) -> Double {
    product(ours, theirs) / (product(ours, ours) * product(theirs, theirs)).squareRoot()
  }

  private static func product(_ a: [Float], _ b: [Float]) -> Double {
    zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }
}
