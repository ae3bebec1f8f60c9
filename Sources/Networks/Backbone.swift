/// The Vision Transformer: pictures to features, and the features' gradient back to the parameters.
///
/// Pre-norm blocks over a class token and patch tokens; exact GELU; LayerNorm with epsilon 1e-6. Below, B images of T
/// tokens, D wide; a token matrix is `[B·T, D]`, image by image, the class token first. Gradients of parameters are
/// added to, gradients of activations overwritten.
import Numerics

let layerNormEpsilon: Float = 1e-6

/// A backbone knows its sizes and where its tensors lie; weights, gradients and activations are its callers'.
public struct Backbone: Sendable {
  public let architecture: NetworkArchitecture
  let layout: ParameterLayout
  let classTokenOffset: Int
  let positionsOffset: Int
  /// The convolution that cuts a picture in patches, as a product over them.
  let patchEmbedding: Linear
  let blocks: [BlockLayers]
  let finalNorm: Norm

  public init(_ architecture: NetworkArchitecture) {
    self.architecture = architecture
    layout = ParameterLayout(architecture)
    classTokenOffset = layout.existing("backbone.cls_token").range.lowerBound
    positionsOffset = layout.existing("backbone.pos_embed").range.lowerBound
    patchEmbedding = Linear(layout, "backbone.patch_embed.proj")
    blocks = (0..<architecture.depth).map { [layout] in BlockLayers(layout, block: $0) }
    finalNorm = Norm(layout, architecture.finalNormName)
  }

  /// Whether only the class token leaves this block, so that no other token goes past its keys and values.
  func isCutShort(block: Int) -> Bool { block == architecture.depth - 1 && !architecture.useMeanPooling }

  /// Tokens of an image that leave this block.
  func queries(block: Int, _ workspace: BackboneWorkspace) -> Int { isCutShort(block: block) ? 1 : workspace.tokens }
}

// MARK: - Forward

extension Backbone {
  /// Turns pictures into features.
  ///
  /// - Parameters:
  ///   - pixels: `[B, 3 · side · side]`, channels first, B at most the workspace's `maximumImages`.
  ///   - parameters: laid out by `ParameterLayout`.
  ///   - draw: stochastic depth, for B images; nil computes every branch.
  ///   - workspace: of the pictures' side; keeps what `backward` needs if it is made to.
  ///   - features: `[B, D]`, overwritten.
  public func forward(
    _ pixels: Matrix, parameters: FloatBuffer, draw: DropPathDraw? = nil, workspace: BackboneWorkspace,
    into features: Matrix
  ) {
    let images = pixels.rows
    invariant(workspace.architecture == architecture, "a workspace of another architecture")
    invariant(images <= workspace.maximumImages && features.rows == images)
    invariant(pixels.columns == 3 * workspace.side * workspace.side)
    invariant(draw == nil || draw?.images == images)
    invariant(parameters.count == layout.count)
    workspace.cut(images: images, draw)
    makeTokenTable(parameters, workspace)
    for tile in workspace.tiles {
      embed(pixels.rows(tile.images), tile, parameters, workspace)
      for block in 0..<architecture.depth { forward(block: block, tile, parameters, workspace) }
      pool(tile, parameters, workspace, into: features.rows(tile.images))
    }
  }

  /// What is the same in every image: class token, positions and the patches' bias.
  private func makeTokenTable(_ parameters: FloatBuffer, _ workspace: BackboneWorkspace) {
    let (table, tokens) = (workspace.tokenTable, workspace.tokens)
    let positions = positions(parameters)
    let (patchTable, patchPositions) = (table.rows(1..<tokens), positions.rows(1..<positions.rows))
    if let interpolation = workspace.interpolation {
      multiply(interpolation, .asIs, patchPositions, .asIs, into: patchTable)
    } else {
      copy(patchPositions, into: patchTable)
    }
    addRow(patchEmbedding.bias(parameters), toRowsOf: patchTable)
    add(classToken(parameters), positions.rows(0..<1), into: table.rows(0..<1))
  }

  /// Patches and class token, each with its position.
  private func embed(
    _ pixels: Matrix, _ tile: ImageTile, _ parameters: FloatBuffer, _ workspace: BackboneWorkspace
  ) {
    let (tokens, table) = (workspace.tokens, workspace.tokenTable)
    let patches = workspace.patches(of: tile)
    let stream = workspace.input(block: 0, of: tile)
    extractPatches(pixels, side: workspace.side, patch: architecture.patchSize, into: patches)
    multiply(patches, .asIs, patchEmbedding.weight(parameters), .transposed, into: stream)
    // The class token's row of the product is 0.
    for image in 0..<pixels.rows {
      let rows = stream.rows(image * tokens..<(image + 1) * tokens)
      add(rows, table, into: rows)
    }
    workspace.show("backbone.patch_embed.proj", stream, in: tile)
  }

  private func forward(
    block: Int, _ tile: ImageTile, _ parameters: FloatBuffer, _ workspace: BackboneWorkspace
  ) {
    let (layers, tokens, width) = (blocks[block], workspace.tokens, architecture.embedDim)
    let queries = queries(block: block, workspace)
    let a = workspace.activations(block: block, of: tile, queries: queries)
    let isCutShort = isCutShort(block: block)
    // 1. Attention: the only place where an image's tokens see one another.
    let attending = tile.kept[2 * block]
    let attended = attending.isEmpty ? nil : workspace.branch.rows(0..<attending.count * queries)
    if let attended {
      let (rows, queried) = (0..<attending.count * tokens, 0..<attending.count * queries)
      let (normed, qkv, mixed) = (a.normed1.rows(rows), a.qkv.rows(rows), a.mixed.rows(queried))
      normalize(
        a.input, of: attending, tokens: tokens, layers.norm1, parameters, into: normed, moments: a.moments1.rows(rows))
      workspace.show("\(Self.name(block)).norm1", normed, of: attending, in: tile)
      let weight = layers.qkv.weight(parameters)
      if isCutShort {
        multiply(
          normed.everyRow(tokens), .asIs, weight.rows(0..<width), .transposed,
          into: qkv.everyRow(tokens).columns(0..<width))
        multiply(normed, .asIs, weight.rows(width..<3 * width), .transposed, into: qkv.columns(width..<3 * width))
        workspace.show("\(Self.name(block)).attn.qkv", qkv.everyRow(tokens).columns(0..<width), of: attending, in: tile)
        workspace.show("\(Self.name(block)).attn.qkv", qkv.columns(width..<3 * width), of: attending, in: tile)
      } else {
        multiply(normed, .asIs, weight, .transposed, into: qkv)
        workspace.show("\(Self.name(block)).attn.qkv", qkv, of: attending, in: tile)
      }
      attention(
        qkv, bias: layers.qkv.bias(parameters), shape: attentionShape(attending.count, queries, workspace), into: mixed,
        probabilities: probabilities(a, attending.count, queries, workspace), keeps: workspace.keepsActivations)
      workspace.show("\(Self.name(block)).attn", mixed, of: attending, in: tile)
      multiply(mixed, .asIs, layers.projection.weight(parameters), .transposed, into: attended)
    }
    endBranch(
      2 * block, attended, bias: layers.projection.bias(parameters),
      to: isCutShort ? a.input.everyRow(tokens) : a.input, rows: queries, tile, workspace.draw, into: a.middle)
    workspace.show("\(Self.name(block)).attn.proj", a.middle, in: tile)
    // 2. MLP, each token alone.
    let thinking = tile.kept[2 * block + 1]
    let thought = thinking.isEmpty ? nil : workspace.branch.rows(0..<thinking.count * queries)
    if let thought {
      let rows = 0..<thinking.count * queries
      let (normed, preactivation, hidden) = (
        a.normed2.rows(rows), a.preactivation.rows(rows), workspace.hidden.rows(rows)
      )
      normalize(
        a.middle, of: thinking, tokens: queries, layers.norm2, parameters, into: normed, moments: a.moments2.rows(rows))
      workspace.show("\(Self.name(block)).norm2", normed, of: thinking, in: tile)
      multiply(normed, .asIs, layers.fc1.weight(parameters), .transposed, into: preactivation)
      geluAddingBias(preactivation, bias: layers.fc1.bias(parameters), into: hidden)
      workspace.show("\(Self.name(block)).mlp.fc1", hidden, of: thinking, in: tile)
      multiply(hidden, .asIs, layers.fc2.weight(parameters), .transposed, into: thought)
    }
    let isLast = block == architecture.depth - 1
    let output = isLast ? workspace.output(of: tile) : workspace.input(block: block + 1, of: tile)
    endBranch(
      2 * block + 1, thought, bias: layers.fc2.bias(parameters), to: a.middle, rows: queries, tile, workspace.draw,
      into: output)
    workspace.show("\(Self.name(block)).mlp.fc2", output, in: tile)
  }

  private func pool(
    _ tile: ImageTile, _ parameters: FloatBuffer, _ workspace: BackboneWorkspace, into features: Matrix
  ) {
    let (tokens, pooled) = (workspace.tokens, workspace.pooled(of: tile))
    if architecture.useMeanPooling {
      let output = workspace.output(of: tile)
      fill(pooled, with: 0)
      for image in 0..<pooled.rows {
        sumRows(of: output.rows(image * tokens + 1..<(image + 1) * tokens), addingTo: pooled.row(at: image))
      }
      scale(pooled, by: 1 / Float(tokens - 1))
    }
    layerNorm(
      pooled, weight: finalNorm.weight(parameters), bias: finalNorm.bias(parameters), epsilon: layerNormEpsilon,
      into: features, keeping: workspace.outputMoments(of: tile))
    workspace.show(architecture.finalNormName, features, in: tile)
  }
}

// MARK: - Backward

extension Backbone {
  /// Adds the features' gradient, carried back to every parameter of the backbone, to `gradient`.
  ///
  /// - Parameters:
  ///   - featureGradient: `[B, D]`, of the B images of the last `forward` in this workspace.
  ///   - parameters: those of that `forward`.
  ///   - workspace: as `forward` left it; can be used for one `backward` only, which overwrites parts of it.
  ///   - gradient: laid out by `ParameterLayout`; added to. The head's part is not touched.
  public func backward(
    _ featureGradient: Matrix, parameters: FloatBuffer, workspace: BackboneWorkspace, gradient: FloatBuffer
  ) {
    guard let scratch = workspace.scratch else { fatalError("backward in a workspace that keeps no activations") }
    invariant(featureGradient.rows == workspace.images, "\(featureGradient.rows) images back")
    invariant(gradient.count == layout.count)
    fill(workspace.tokenTable, with: 0)
    for tile in workspace.tiles {
      unpool(featureGradient.rows(tile.images), tile, parameters, workspace, scratch, gradient)
      for block in (0..<architecture.depth).reversed() {
        backward(block: block, tile, parameters, workspace, scratch, gradient)
      }
      unembed(scratch.stream.rows(0..<tile.images.count * workspace.tokens), tile, workspace, gradient)
    }
    addTokenTableGradient(workspace, gradient)
  }

  private func unpool(
    _ featureGradient: Matrix, _ tile: ImageTile, _ parameters: FloatBuffer, _ workspace: BackboneWorkspace,
    _ scratch: BackwardScratch, _ gradient: FloatBuffer
  ) {
    let (images, tokens) = (featureGradient.rows, workspace.tokens)
    let pooledGradient = scratch.classStream.rows(0..<images)
    layerNormBackward(
      workspace.pooled(of: tile), moments: workspace.outputMoments(of: tile), weight: finalNorm.weight(parameters),
      gradient: featureGradient, into: pooledGradient, adding: false, weightGradient: finalNorm.weight(gradient),
      biasGradient: finalNorm.bias(gradient))
    workspace.show(architecture.finalNormName, pooledGradient, in: tile, backward: true)
    if !architecture.useMeanPooling { return }
    scale(pooledGradient, by: 1 / Float(tokens - 1))
    fill(scratch.stream.rows(0..<images * tokens), with: 0)
    for image in 0..<images {
      addRow(pooledGradient.row(at: image), toRowsOf: scratch.stream.rows(image * tokens + 1..<(image + 1) * tokens))
    }
  }

  /// `forward(block:)` in reverse: the residual stream's gradient goes from behind the block to before it.
  private func backward(
    block: Int, _ tile: ImageTile, _ parameters: FloatBuffer, _ workspace: BackboneWorkspace,
    _ scratch: BackwardScratch, _ gradient: FloatBuffer
  ) {
    let (layers, tokens, width) = (blocks[block], workspace.tokens, architecture.embedDim)
    let (images, queries) = (tile.images.count, queries(block: block, workspace))
    let a = workspace.activations(block: block, of: tile, queries: queries)
    let isCutShort = isCutShort(block: block)
    let stream = (isCutShort ? scratch.classStream : scratch.stream).rows(0..<images * queries)
    // 2. MLP.
    let thinking = tile.kept[2 * block + 1]
    if !thinking.isEmpty {
      let rows = 0..<thinking.count * queries
      let (normed, preactivation, hidden) = (
        a.normed2.rows(rows), a.preactivation.rows(rows), workspace.hidden.rows(rows)
      )
      let thoughtGradient = gatherBranch(2 * block + 1, stream, rows: queries, tile, workspace)
      let hiddenGradient = scratch.wide(rows: rows.count, columns: architecture.mlpDim)
      let normedGradient = scratch.normed.rows(rows)
      multiply(thoughtGradient, .asIs, layers.fc2.weight(parameters), .asIs, into: hiddenGradient)
      gelu(preactivation, into: hidden)
      geluBackward(preactivation, gradient: hiddenGradient)
      workspace.show("\(Self.name(block)).mlp.fc2", hiddenGradient, of: thinking, in: tile, backward: true)
      addGradient(layers.fc2, input: hidden, output: thoughtGradient, gradient)
      addGradient(layers.fc1, input: normed, output: hiddenGradient, gradient)
      multiply(hiddenGradient, .asIs, layers.fc1.weight(parameters), .asIs, into: normedGradient)
      workspace.show("\(Self.name(block)).mlp.fc1", normedGradient, of: thinking, in: tile, backward: true)
      normalizeBackward(
        a.middle, of: thinking, tokens: queries, layers.norm2, parameters, moments: a.moments2.rows(rows),
        normedGradient, addingTo: stream, gradient)
    }
    workspace.show("\(Self.name(block)).norm2", stream, in: tile, backward: true)
    // 1. Attention.
    let attending = tile.kept[2 * block]
    let fullStream = scratch.stream.rows(0..<images * tokens)
    if !attending.isEmpty {
      let (rows, queried) = (0..<attending.count * tokens, 0..<attending.count * queries)
      let (normed, mixed) = (a.normed1.rows(rows), a.mixed.rows(queried))
      let attendedGradient = gatherBranch(2 * block, stream, rows: queries, tile, workspace)
      let (mixedGradient, normedGradient) = (scratch.normed.rows(queried), scratch.normed.rows(rows))
      let qkvGradient = scratch.wide(rows: rows.count, columns: 3 * width)
      addGradient(layers.projection, input: mixed, output: attendedGradient, gradient)
      multiply(attendedGradient, .asIs, layers.projection.weight(parameters), .asIs, into: mixedGradient)
      workspace.show("\(Self.name(block)).attn.proj", mixedGradient, of: attending, in: tile, backward: true)
      attentionBackward(
        a.qkv.rows(rows), probabilities: probabilities(a, attending.count, queries, workspace),
        shape: attentionShape(attending.count, queries, workspace), mixedGradient: mixedGradient,
        scratch: workspace.attentionScratch.rows(0..<queries), into: qkvGradient)
      if isCutShort {
        workspace.show(
          "\(Self.name(block)).attn", qkvGradient.everyRow(tokens).columns(0..<width), of: attending, in: tile,
          backward: true)
        workspace.show(
          "\(Self.name(block)).attn", qkvGradient.columns(width..<3 * width), of: attending, in: tile, backward: true)
      } else {
        workspace.show("\(Self.name(block)).attn", qkvGradient, of: attending, in: tile, backward: true)
      }
      let weight = layers.qkv.weight(parameters)
      if isCutShort {
        let (queryPart, restPart) = (0..<width, width..<3 * width)
        let queryGradient = qkvGradient.everyRow(tokens).columns(queryPart)
        let restGradient = qkvGradient.columns(restPart)
        let (weightGradient, biasGradient) = (layers.qkv.weight(gradient), layers.qkv.bias(gradient))
        multiply(
          queryGradient, .transposed, normed.everyRow(tokens), .asIs, keep: 1, into: weightGradient.rows(queryPart))
        multiply(restGradient, .transposed, normed, .asIs, keep: 1, into: weightGradient.rows(restPart))
        sumRows(of: queryGradient, addingTo: biasGradient.vector(at: 0, count: width))
        sumRows(of: restGradient, addingTo: biasGradient.vector(at: width, count: 2 * width))
        multiply(restGradient, .asIs, weight.rows(restPart), .asIs, into: normedGradient)
        multiply(
          queryGradient, .asIs, weight.rows(queryPart), .asIs, keep: 1, into: normedGradient.everyRow(tokens))
        widen(stream, into: fullStream)
      } else {
        addGradient(layers.qkv, input: normed, output: qkvGradient, gradient)
        multiply(qkvGradient, .asIs, weight, .asIs, into: normedGradient)
      }
      workspace.show("\(Self.name(block)).attn.qkv", normedGradient, of: attending, in: tile, backward: true)
      normalizeBackward(
        a.input, of: attending, tokens: tokens, layers.norm1, parameters, moments: a.moments1.rows(rows),
        normedGradient, addingTo: fullStream, gradient)
    } else if isCutShort {
      widen(stream, into: fullStream)
    }
    workspace.show("\(Self.name(block)).norm1", fullStream, in: tile, backward: true)
  }

  /// Before a block cut short, all tokens have a gradient; its residual path has brought only the class tokens'.
  private func widen(_ classStream: Matrix, into stream: Matrix) {
    fill(stream, with: 0)
    copy(classStream, into: stream.everyRow(stream.rows / classStream.rows))
  }

  private func unembed(
    _ stream: Matrix, _ tile: ImageTile, _ workspace: BackboneWorkspace, _ gradient: FloatBuffer
  ) {
    let (tokens, table) = (workspace.tokens, workspace.tokenTable)
    for image in 0..<stream.rows / tokens {
      add(table, stream.rows(image * tokens..<(image + 1) * tokens), into: table)
    }
    multiply(
      stream, .transposed, workspace.patches(of: tile), .asIs, keep: 1, into: patchEmbedding.weight(gradient))
  }

  /// `makeTokenTable` in reverse.
  private func addTokenTableGradient(_ workspace: BackboneWorkspace, _ gradient: FloatBuffer) {
    let (table, tokens) = (workspace.tokenTable, workspace.tokens)
    let positions = positions(gradient)
    let (patchTable, patchPositions) = (table.rows(1..<tokens), positions.rows(1..<positions.rows))
    add(classToken(gradient), table.rows(0..<1), into: classToken(gradient))
    add(positions.rows(0..<1), table.rows(0..<1), into: positions.rows(0..<1))
    if let interpolation = workspace.interpolation {
      multiply(interpolation, .transposed, patchTable, .asIs, keep: 1, into: patchPositions)
    } else {
      add(patchPositions, patchTable, into: patchPositions)
    }
    sumRows(of: patchTable, addingTo: patchEmbedding.bias(gradient))
  }
}

// MARK: - Pieces of both

extension Backbone {
  private static func name(_ block: Int) -> String { "backbone.blocks.\(block)" }

  private func classToken(_ buffer: FloatBuffer) -> Matrix {
    buffer.matrix(at: classTokenOffset, rows: 1, columns: architecture.embedDim)
  }

  private func positions(_ buffer: FloatBuffer) -> Matrix {
    buffer.matrix(
      at: positionsOffset, rows: architecture.tokens(side: architecture.imageSize), columns: architecture.embedDim)
  }

  private func attentionShape(_ images: Int, _ queries: Int, _ workspace: BackboneWorkspace) -> AttentionShape {
    AttentionShape(
      images: images, tokens: workspace.tokens, queries: queries, heads: architecture.numHeads,
      width: architecture.embedDim)
  }

  private func probabilities(
    _ a: BlockActivations, _ images: Int, _ queries: Int, _ workspace: BackboneWorkspace
  ) -> Matrix {
    a.probabilities.rows(0..<(workspace.keepsActivations ? images * architecture.numHeads * queries : queries))
  }

  /// LayerNorm of the `tokens` rows of each of these images, gathered.
  private func normalize(
    _ x: Matrix, of images: [Int], tokens: Int, _ norm: Norm, _ parameters: FloatBuffer, into y: Matrix,
    moments: Matrix
  ) {
    let (weight, bias) = (norm.weight(parameters), norm.bias(parameters))
    if y.rows == x.rows {
      layerNorm(x, weight: weight, bias: bias, epsilon: layerNormEpsilon, into: y, keeping: moments)
      return
    }
    for (place, image) in images.enumerated() {
      let (to, from) = (place * tokens..<(place + 1) * tokens, image * tokens..<(image + 1) * tokens)
      layerNorm(
        x.rows(from), weight: weight, bias: bias, epsilon: layerNormEpsilon, into: y.rows(to), keeping: moments.rows(to)
      )
    }
  }

  /// `normalize` in reverse: scatters.
  private func normalizeBackward(
    _ x: Matrix, of images: [Int], tokens: Int, _ norm: Norm, _ parameters: FloatBuffer, moments: Matrix,
    _ yGradient: Matrix, addingTo xGradient: Matrix, _ gradient: FloatBuffer
  ) {
    let weight = norm.weight(parameters)
    let (weightGradient, biasGradient) = (norm.weight(gradient), norm.bias(gradient))
    if yGradient.rows == x.rows {
      layerNormBackward(
        x, moments: moments, weight: weight, gradient: yGradient, into: xGradient, adding: true,
        weightGradient: weightGradient, biasGradient: biasGradient)
      return
    }
    for (place, image) in images.enumerated() {
      let (from, to) = (place * tokens..<(place + 1) * tokens, image * tokens..<(image + 1) * tokens)
      layerNormBackward(
        x.rows(to), moments: moments.rows(from), weight: weight, gradient: yGradient.rows(from),
        into: xGradient.rows(to), adding: true, weightGradient: weightGradient, biasGradient: biasGradient)
    }
  }

  /// y = x + scale · (branch + bias) for the tile's images that the branch computed, y = x for the others.
  private func endBranch(
    _ index: Int, _ branch: Matrix?, bias: Vector, to x: Matrix, rows: Int, _ tile: ImageTile, _ draw: DropPathDraw?,
    into y: Matrix
  ) {
    guard let branch else { return copy(x, into: y) }
    guard let draw else { return addBranch(x, branch, bias: bias, scale: 1, into: y) }
    var place = 0
    for (row, image) in tile.images.enumerated() {
      let range = row * rows..<(row + 1) * rows
      let factor = draw.scale(branch: index, image: image)
      if factor == 0 {
        copy(x.rows(range), into: y.rows(range))
      } else {
        addBranch(
          x.rows(range), branch.rows(place * rows..<(place + 1) * rows), bias: bias, scale: factor, into: y.rows(range))
        place += 1
      }
    }
  }

  /// The gradient of the branch's result: the stream's rows of the images that it computed, times their scale.
  private func gatherBranch(
    _ index: Int, _ stream: Matrix, rows: Int, _ tile: ImageTile, _ workspace: BackboneWorkspace
  ) -> Matrix {
    guard let draw = workspace.draw else { return stream }
    let kept = tile.kept[index]
    let gathered = workspace.branch.rows(0..<kept.count * rows)
    for (place, row) in kept.enumerated() {
      let to = gathered.rows(place * rows..<(place + 1) * rows)
      copy(stream.rows(row * rows..<(row + 1) * rows), into: to)
      scale(to, by: draw.scale(branch: index, image: tile.images.lowerBound + row))
    }
    return gathered
  }
}

/// Adds dYᵀ X to the weight's gradient and the sum of dY's rows to the bias's.
func addGradient(_ layer: Linear, input: Matrix, output: Matrix, _ gradient: FloatBuffer) {
  multiply(output, .transposed, input, .asIs, keep: 1, into: layer.weight(gradient))
  sumRows(of: output, addingTo: layer.bias(gradient))
}
