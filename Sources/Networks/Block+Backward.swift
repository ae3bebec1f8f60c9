/// A block, backward: the calls of forward in reverse, each line undoing one.
import Numerics

extension BlockPass {
  /// Takes the residual stream's gradient from behind the block to before it, in `scratch.stream`; that behind a block
  /// cut short is in `scratch.classStream`. Adds the parameters' to `gradient`.
  func backward(_ scratch: BackwardScratch, _ gradient: FloatBuffer) {
    let stream = (isCutShort ? scratch.classStream : scratch.stream).rows(0..<tile.images.count * queries)
    // 2. MLP.
    if !mlpImages.isEmpty {
      let outputGradient = endBranchBackward(.mlp, bias: layers.fc2.bias(parameters), stream, gradient)  // [B·Q, D]
      let hiddenGradient = workspace.wide(rows: hidden.rows, columns: architecture.mlpDim)
      let normedGradient = scratch.normed.rows(0..<hidden.rows)
      gelu(preactivation, into: hidden)  // again: what forward had there was the last block's
      layers.fc2.productBackward(outputGradient, weights, into: hiddenGradient)
      layers.fc2.addGradient(of: outputGradient, input: hidden, to: gradient)
      geluBackward(preactivation, gradient: hiddenGradient, into: hiddenGradient)
      show(.fc2, hiddenGradient, of: mlpImages, backward: true)
      layers.fc1.productBackward(hiddenGradient, weights, into: Factor(normedGradient))
      layers.fc1.addGradient(of: hiddenGradient, input: normed2, to: gradient)
      show(.fc1, Factor(normedGradient), of: mlpImages, backward: true)
      normalizeBackward(
        normedGradient, of: mlpImages, rows: queries, layers.norm2, middle, moments: moments2, addingTo: stream,
        gradient)
    }
    show(.norm2, Factor(stream), backward: true)
    // 1. Attention.
    let inputGradient = widened(stream, scratch)
    if !attentionImages.isEmpty {
      let outputGradient = endBranchBackward(
        .attention, bias: layers.projection.bias(parameters), stream, gradient)  // [B·Q, D]
      let mixedGradient = scratch.normed.rows(attentionQueryRows).factor(in: precision)
      let qkvGradient = workspace.wide(rows: qkv.rows, columns: qkv.columns)  // [B·T, 3D]
      let normedGradient = scratch.normed.rows(0..<qkv.rows)
      layers.projection.productBackward(outputGradient, weights, into: mixedGradient)
      layers.projection.addGradient(of: outputGradient, input: mixed, to: gradient)
      show(.projection, mixedGradient, of: attentionImages, backward: true)
      attentionBackward(
        qkv, probabilities: probabilities, shape: attentionShape, mixedGradient: mixedGradient,
        workspace.attentionScratch, into: qkvGradient)
      showHeads(.attention, qkvGradient, backward: true)
      projectHeadsBackward(qkvGradient, into: normedGradient, gradient)
      show(.qkv, Factor(normedGradient), of: attentionImages, backward: true)
      normalizeBackward(
        normedGradient, of: attentionImages, rows: tokens, layers.norm1, input, moments: moments1,
        addingTo: inputGradient, gradient)
    }
    show(.norm1, Factor(inputGradient), backward: true)
  }

  /// Before a block cut short, all tokens have a gradient; its residual path has brought only the class tokens'.
  private func widened(_ stream: Matrix, _ scratch: BackwardScratch) -> Matrix {
    guard isCutShort else { return stream }
    let full = scratch.stream.rows(0..<tile.images.count * tokens)
    fill(full, with: 0)
    copy(stream, into: full.everyRow(tokens))
    return full
  }

  /// `projectHeads` in reverse.
  private func projectHeadsBackward(_ qkvGradient: Factor, into xGradient: Matrix, _ gradient: FloatBuffer) {
    guard isCutShort else {
      layers.qkv.productBackward(qkvGradient, weights, into: Factor(xGradient))
      return layers.qkv.addGradient(of: qkvGradient, input: normed1, to: gradient)
    }
    let weight = layers.qkv.weight(weights)
    let queryGradient = qkvGradient.everyRow(tokens).columns(queryColumns)
    let restGradient = qkvGradient.columns(keyAndValueColumns)
    multiply(restGradient, .asIs, weight.rows(keyAndValueColumns), .asIs, into: xGradient)
    multiply(queryGradient, .asIs, weight.rows(queryColumns), .asIs, keep: 1, into: xGradient.everyRow(tokens))
    let (weightGradient, biasGradient) = (layers.qkv.weightGradient(gradient), layers.qkv.bias(gradient))
    multiply(
      queryGradient, .transposed, normed1.everyRow(tokens), .asIs, keep: 1, into: weightGradient.rows(queryColumns))
    multiply(restGradient, .transposed, normed1, .asIs, keep: 1, into: weightGradient.rows(keyAndValueColumns))
    sumRows(of: queryGradient, addingTo: biasGradient.vector(at: 0, count: queryColumns.count))
    sumRows(
      of: restGradient, addingTo: biasGradient.vector(at: queryColumns.count, count: keyAndValueColumns.count))
  }
}
