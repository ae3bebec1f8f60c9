/// A block, forward: attention and MLP, each added to the residual stream.
import Numerics

extension BlockPass {
  /// Takes the tile's residual stream from before the block to behind it.
  func forward() {
    // 1. Attention: the only place where an image's tokens see one another.
    if !attentionImages.isEmpty {
      normalize(input, of: attentionImages, rows: tokens, layers.norm1, into: normed1, keeping: moments1)
      show(.norm1, normed1, of: attentionImages)
      let product = workspace.product(before: qkv)
      projectHeads(normed1, into: product)  // [B·T, 3D]
      showHeads(.qkv, Factor(product))
      attention(
        product, bias: layers.qkv.bias(parameters), into: qkv, shape: attentionShape,
        scores: workspace.attentionScratch.rows(0..<queries), into: mixed, probabilities: probabilities,
        keeps: workspace.keepsActivations)  // [B·Q, D]
      show(.attention, mixed, of: attentionImages)
      layers.projection.product(mixed, weights, into: result(of: .attention))
    }
    endBranch(.attention, bias: layers.projection.bias(parameters), to: queriedInput, into: middle)
    show(.projection, Factor(middle))
    // 2. MLP, each token alone.
    if !mlpImages.isEmpty {
      normalize(middle, of: mlpImages, rows: queries, layers.norm2, into: normed2, keeping: moments2)
      show(.norm2, normed2, of: mlpImages)
      let product = workspace.product(before: preactivation)
      layers.fc1.product(normed2, weights, into: product)  // [B·Q, mlpDim]
      geluAddingBias(product, bias: layers.fc1.bias(parameters), keeping: preactivation, into: hidden)
      show(.fc1, hidden, of: mlpImages)
      layers.fc2.product(hidden, weights, into: result(of: .mlp))
    }
    let output = output
    endBranch(.mlp, bias: layers.fc2.bias(parameters), to: middle, into: output)
    show(.fc2, Factor(output))
  }

  /// Queries, keys and values of every token, `[B·T, 3D]`; in a block cut short only the class tokens' queries.
  private func projectHeads(_ x: Factor, into qkv: Matrix) {
    guard isCutShort else { return layers.qkv.product(x, weights, into: qkv) }
    let weight = layers.qkv.weight(weights)
    multiply(
      x.everyRow(tokens), .asIs, weight.rows(queryColumns), .transposed,
      into: qkv.everyRow(tokens).columns(queryColumns))
    multiply(x, .asIs, weight.rows(keyAndValueColumns), .transposed, into: qkv.columns(keyAndValueColumns))
  }
}
