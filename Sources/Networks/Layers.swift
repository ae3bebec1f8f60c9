/// Layers know where their tensors lie, in parameters and gradient alike; the step looks up no names.
import Numerics

/// y = x Wᵀ + b. W is `[outputs, inputs]`.
struct Linear: Sendable {
  let weightRange: Range<Int>
  let biasRange: Range<Int>
  let inputs: Int
  let outputs: Int

  init(_ layout: ParameterLayout, _ name: String) {
    let (weight, bias) = (layout.existing("\(name).weight"), layout.existing("\(name).bias"))
    (weightRange, biasRange) = (weight.range, bias.range)
    outputs = bias.range.count
    inputs = weight.range.count / outputs
  }

  func weight(_ weights: NetworkWeights) -> Factor {
    weights.factor(at: weightRange.lowerBound, rows: outputs, columns: inputs)
  }

  func weightGradient(_ gradient: FloatBuffer) -> Matrix {
    gradient.matrix(at: weightRange.lowerBound, rows: outputs, columns: inputs)
  }

  func bias(_ buffer: FloatBuffer) -> Vector { buffer.vector(at: biasRange.lowerBound, count: outputs) }

  /// y = x Wᵀ, overwritten. The bias is added by whatever reads y next.
  func product(_ x: Factor, _ weights: NetworkWeights, into y: Matrix) {
    multiply(x, .asIs, weight(weights), .transposed, into: y)
  }

  /// y = x Wᵀ + b in bf16, overwritten: the product adds the bias before it rounds.
  func roundedOutput(_ x: Factor, _ weights: NetworkWeights, into y: Factor) {
    multiply(x, .asIs, weight(weights), .transposed, bias: bias(weights.floats), into: y)
  }

  /// dx = dy W, overwritten.
  func productBackward(_ yGradient: Factor, _ weights: NetworkWeights, into xGradient: Factor) {
    multiply(yGradient, .asIs, weight(weights), .asIs, into: xGradient)
  }

  /// Adds dyᵀ x to the weight's gradient, and the sum of dy's rows to the bias's.
  func addGradient(of yGradient: Factor, input x: Factor, to gradient: FloatBuffer) {
    multiply(yGradient, .transposed, x, .asIs, keep: 1, into: weightGradient(gradient))
    sumRows(of: yGradient, addingTo: bias(gradient))
  }
}

/// The weight and bias of a LayerNorm or BatchNorm.
struct Norm: Sendable {
  let weightRange: Range<Int>
  let biasRange: Range<Int>

  init(_ layout: ParameterLayout, _ name: String) {
    (weightRange, biasRange) = (layout.existing("\(name).weight").range, layout.existing("\(name).bias").range)
  }

  func weight(_ buffer: FloatBuffer) -> Vector {
    buffer.vector(at: weightRange.lowerBound, count: weightRange.count)
  }

  func bias(_ buffer: FloatBuffer) -> Vector { buffer.vector(at: biasRange.lowerBound, count: biasRange.count) }
}

/// LayerScale: a factor for each column of what a residual branch adds.
struct LayerScale: Sendable {
  let range: Range<Int>

  /// Nil where the architecture has none.
  init?(_ layout: ParameterLayout, _ name: String) {
    guard let gamma = layout["\(name).gamma"] else { return nil }
    range = gamma.range
  }

  func gamma(_ buffer: FloatBuffer) -> Vector { buffer.vector(at: range.lowerBound, count: range.count) }
}

struct BlockLayers: Sendable {
  let norm1: Norm
  let qkv: Linear
  let projection: Linear
  let attentionScale: LayerScale?
  let norm2: Norm
  let fc1: Linear
  let fc2: Linear
  let mlpScale: LayerScale?

  init(_ layout: ParameterLayout, block: Int) {
    let prefix = "backbone.blocks.\(block)"
    norm1 = Norm(layout, "\(prefix).norm1")
    qkv = Linear(layout, "\(prefix).attn.qkv")
    projection = Linear(layout, "\(prefix).attn.proj")
    attentionScale = LayerScale(layout, "\(prefix).ls1")
    norm2 = Norm(layout, "\(prefix).norm2")
    fc1 = Linear(layout, "\(prefix).mlp.fc1")
    fc2 = Linear(layout, "\(prefix).mlp.fc2")
    mlpScale = LayerScale(layout, "\(prefix).ls2")
  }
}

extension ParameterLayout {
  /// The tensor that every network of this architecture has.
  func existing(_ name: String) -> Tensor {
    guard let tensor = self[name] else { fatalError("the layout has no tensor '\(name)'") }
    return tensor
  }
}

extension Matrix {
  /// Rows 0, n, 2n, ...: the class tokens, where an image has n tokens.
  func everyRow(_ n: Int) -> Matrix {
    invariant(rows % n == 0)
    return buffer.matrix(at: offset, rows: rows / n, columns: columns, stride: stride * n)
  }
}
