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
        qkv, bias: layers.qkv.bias(parameters), shape: attentionShape, into: mixed, probabilities: probabilities,
        keeps: workspace.keepsActivations)  // [B·Q, D]
      show(.attention, mixed, of: attentionImages)
      layers.projection.product(mixed, parameters, into: result(of: .attention))
    }
    endBranch(.attention, bias: layers.projection.bias(parameters), to: queriedInput, into: middle)
    show(.projection, middle)
    // 2. MLP, each token alone.
    if !mlpImages.isEmpty {
      normalize(middle, of: mlpImages, rows: queries, layers.norm2, into: normed2, keeping: moments2)
      show(.norm2, normed2, of: mlpImages)
      layers.fc1.product(normed2, parameters, into: preactivation)  // [B·Q, mlpDim]
      geluAddingBias(preactivation, bias: layers.fc1.bias(parameters), into: hidden)
      show(.fc1, hidden, of: mlpImages)
      layers.fc2.product(hidden, parameters, into: result(of: .mlp))
    }
    let output = output
    endBranch(.mlp, bias: layers.fc2.bias(parameters), to: middle, into: output)
    show(.fc2, output)
  }

  /// Queries, keys and values of every token, `[B·T, 3D]`; in a block cut short only the class tokens' queries.
  private func projectHeads(_ x: Matrix, into qkv: Matrix) {
    guard isCutShort else { return layers.qkv.product(x, parameters, into: qkv) }
    let weight = layers.qkv.weight(parameters)
    multiply(
      x.everyRow(tokens), .asIs, weight.rows(queryColumns), .transposed,
      into: qkv.everyRow(tokens).columns(queryColumns))
    multiply(x, .asIs, weight.rows(keyAndValueColumns), .transposed, into: qkv.columns(keyAndValueColumns))
  }
}
