/// What a network starts from.
import Numerics

/// The initial parameters of a run.
///
/// Weights of linear layers, position embeddings, class token and registers are normal with deviation 0.02 (cut at -2 and
/// 2, which never happens); biases are 0, norms 1 and 0, LayerScale's factors what the architecture says. The
/// patch convolution keeps its framework's default: weight and bias uniform within 1 / √(fan in).
/// - Returns: a buffer laid out by `layout`; each element is a pure function of the seed, its tensor's place in the
///   layout and its own place in the tensor.
public func initialParameters(layout: ParameterLayout, seed: UInt64) -> FloatBuffer {
  let parameters = FloatBuffer(count: layout.count)
  for (index, tensor) in layout.tensors.enumerated() {
    let values = parameters.vector(at: tensor.range.lowerBound, count: tensor.range.count)
    switch Initialization(tensor, layout.architecture) {
    case .constant(let value): fill(values, with: value)
    case .normal(let deviation):
      drawElements(of: values, tensor: index, seed: seed) { Float($0.truncatedNormal(deviation: deviation)) }
    case .uniform(let bound):
      drawElements(of: values, tensor: index, seed: seed) { $0.uniform(in: -bound...bound) }
    }
  }
  return parameters
}

/// The initial running statistics: means 0, variances 1; nil without BatchNorm.
public func initialStatistics(layout: StatisticsLayout) -> FloatBuffer? {
  if layout.count == 0 { return nil }
  let statistics = FloatBuffer(count: layout.count)
  for tensor in layout.tensors where tensor.name.hasSuffix(".running_var") {
    fill(statistics.vector(at: tensor.range.lowerBound, count: tensor.range.count), with: 1)
  }
  return statistics
}

private enum Initialization {
  case constant(Float)
  case normal(deviation: Double)
  case uniform(bound: Float)

  init(_ tensor: ParameterLayout.Tensor, _ architecture: NetworkArchitecture) {
    if tensor.name.hasPrefix("backbone.patch_embed.proj.") {
      self = .uniform(bound: 1 / Float(architecture.patchFloats).squareRoot())
    } else if tensor.decays {
      self = .normal(deviation: 0.02)
    } else if tensor.name.hasSuffix(".gamma") {
      self = .constant(architecture.layerScale)
    } else {
      // What else is 1-D is a bias or a norm.
      self = .constant(tensor.name.hasSuffix(".weight") ? 1 : 0)
    }
  }
}

/// Elements that share a stream: it costs two Philox blocks to start one.
private let elementsOfStream = 256

private func drawElements(
  of values: Vector, tensor: Int, seed: UInt64, _ draw: (inout RandomStream) -> Float
) {
  for first in stride(from: 0, to: values.count, by: elementsOfStream) {
    var stream = RandomStream(
      RandomKey(
        seed: seed, purpose: .initialization, step: UInt64(tensor), image: UInt64(first / elementsOfStream)))
    for element in first..<min(first + elementsOfStream, values.count) { values[element] = draw(&stream) }
  }
}
