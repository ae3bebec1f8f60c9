/// A block, forward: attention and MLP, each added to the residual stream.
import Numerics

extension BlockPass {
  /// Takes the tile's residual stream from before the block to behind it.
  func forward() {
    // 1. Attention: the only place where an image's tokens see one another.
    if !attentionImages.isEmpty {
      normalize(input, of: attentionImages, rows: tokens, layers.norm1, into: normed1, keeping: moments1)
      show(.norm1, normed1, of: attentionImages)
      projectHeads(normed1, into: qkv)  // [B·T, 3D]
      showHeads(.qkv, qkv)
      attention(
        qkv, bias: layers.qkv.bias(parameters), shape: attentionShape, workspace.attentionScratch, into: mixed,
        probabilities: probabilities, keeps: workspace.keepsActivations)  // [B·Q, D]
      show(.attention, mixed, of: attentionImages)
      layers.projection.product(mixed, weights, into: result(of: .attention))
    }
    endBranch(.attention, bias: layers.projection.bias(parameters), to: queriedInput, into: middle)
    show(.projection, Factor(middle))
    // 2. MLP, each token alone.
    if !mlpImages.isEmpty {
      normalize(middle, of: mlpImages, rows: queries, layers.norm2, into: normed2, keeping: moments2)
      show(.norm2, normed2, of: mlpImages)
      expand(normed2, into: hidden)  // [B·Q, mlpDim]
      show(.fc1, hidden, of: mlpImages)
      layers.fc2.product(hidden, weights, into: result(of: .mlp))
    }
    let output = output
    endBranch(.mlp, bias: layers.fc2.bias(parameters), to: middle, into: output)
    show(.fc2, Factor(output))
  }

  /// Queries, keys and values of every token, `[B·T, 3D]`; in a block cut short only the class tokens' queries. In bf16
  /// with bias; in fp32 `attention` adds it.
  private func projectHeads(_ x: Factor, into qkv: Factor) {
    guard isCutShort else { return project(x, 0..<3 * architecture.embedDim, into: qkv) }
    project(x.everyRow(tokens), queryColumns, into: qkv.everyRow(tokens))
    project(x, keyAndValueColumns, into: qkv)
  }

  /// These columns of queries, keys and values.
  private func project(_ x: Factor, _ columns: Range<Int>, into qkv: Factor) {
    let weight = layers.qkv.weight(weights).rows(columns)
    switch precision {
    case .fp32: multiply(x, .asIs, weight, .transposed, into: qkv.columns(columns))
    case .bf16:
      let bias = layers.qkv.bias(parameters).vector(at: columns.lowerBound, count: columns.count)
      multiply(x, .asIs, weight, .transposed, bias: bias, into: qkv.columns(columns))
    }
  }

  /// The MLP's first layer and its GELU; keeps what comes between.
  private func expand(_ x: Factor, into hidden: Factor) {
    if let product = preactivation.floats {
      layers.fc1.product(x, weights, into: product)
      geluAddingBias(product, bias: layers.fc1.bias(parameters), into: hidden)
    } else {
      layers.fc1.roundedOutput(x, weights, into: preactivation)
      gelu(preactivation, into: hidden)
    }
  }
}
