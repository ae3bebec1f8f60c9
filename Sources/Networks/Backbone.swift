/// The Vision Transformer: pictures to features, and the features' gradient back to the parameters.
///
/// Pre-norm blocks over a class token, registers and patch tokens; exact GELU; LayerNorm with epsilon 1e-6. Below, B images
/// of T tokens, D wide; a token matrix is `[B·T, D]`, image by image, the class token first, then the registers. Gradients of
/// parameters are added to, gradients of activations overwritten.
import Numerics

package let layerNormEpsilon: Float = 1e-6

/// A backbone knows its sizes and where its tensors lie; weights, gradients and activations are its callers'.
public struct Backbone: Sendable {
  public let architecture: NetworkArchitecture
  let layout: ParameterLayout
  let classTokenOffset: Int
  /// Nil where there are none.
  let registersOffset: Int?
  let positionsOffset: Int
  /// The convolution that cuts a picture in patches, as a product over them.
  let patchEmbedding: Linear
  let blocks: [BlockLayers]
  let finalNorm: Norm

  public init(_ architecture: NetworkArchitecture) {
    self.architecture = architecture
    layout = ParameterLayout(architecture)
    classTokenOffset = layout.existing("backbone.cls_token").range.lowerBound
    registersOffset = layout["backbone.reg_token"]?.range.lowerBound
    positionsOffset = layout.existing("backbone.pos_embed").range.lowerBound
    patchEmbedding = Linear(layout, "backbone.patch_embed.proj")
    blocks = (0..<architecture.depth).map { [layout] in BlockLayers(layout, block: $0) }
    finalNorm = Norm(layout, architecture.finalNormName)
  }
}

// MARK: - Forward

extension Backbone {
  /// Turns pictures into features.
  ///
  /// - Parameters:
  ///   - pixels: `[B, 3 · side · side]`, channels first, B at most the workspace's `maximumImages`.
  ///   - weights: laid out by `ParameterLayout`, in the workspace's precision.
  ///   - draw: stochastic depth, for B images; nil computes every branch.
  ///   - workspace: of the pictures' side; keeps what `backward` needs if it is made to.
  ///   - features: `[B, D]`, overwritten.
  public func forward(
    _ pixels: Matrix, weights: NetworkWeights, draw: DropPathDraw? = nil, workspace: BackboneWorkspace,
    into features: Matrix
  ) {
    let images = pixels.rows
    invariant(workspace.architecture == architecture, "a workspace of another architecture")
    invariant(images <= workspace.maximumImages && features.rows == images)
    invariant(pixels.columns == 3 * workspace.side * workspace.side)
    invariant(draw == nil || draw?.images == images)
    invariant(weights.floats.count == layout.count && weights.precision == workspace.precision)
    workspace.cut(images: images, draw)
    makeTokenTable(weights.floats, workspace)
    for tile in workspace.tiles {
      embed(pixels.rows(tile.images), tile, weights, workspace)
      for block in blocks.indices { BlockPass(self, block: block, tile, weights, workspace).forward() }
      pool(tile, weights.floats, workspace, into: features.rows(tile.images))
    }
  }

  /// What is the same in every image: class token, registers, positions and the patches' bias.
  private func makeTokenTable(_ parameters: FloatBuffer, _ workspace: BackboneWorkspace) {
    let (table, tokens) = (workspace.tokenTable, workspace.tokens)
    let (positions, leading) = (positions(parameters), architecture.leadingTokens)
    let (patchTable, patchPositions) = (table.rows(leading..<tokens), positions.rows(1..<positions.rows))
    if let interpolation = workspace.interpolation {
      multiply(interpolation, .asIs, patchPositions, .asIs, into: patchTable)
    } else {
      copy(patchPositions, into: patchTable)
    }
    addRow(patchEmbedding.bias(parameters), toRowsOf: patchTable)
    add(classToken(parameters), positions.rows(0..<1), into: table.rows(0..<1))
    if let registers = registers(parameters) { copy(registers, into: table.rows(1..<leading)) }
  }

  /// Class token and registers, the same in every image, then patches, each with its position.
  private func embed(
    _ pixels: Matrix, _ tile: ImageTile, _ weights: NetworkWeights, _ workspace: BackboneWorkspace
  ) {
    let (tokens, table) = (workspace.tokens, workspace.tokenTable)
    let patches = workspace.patches(of: tile)
    let stream = workspace.input(block: 0, of: tile)
    extractPatches(
      pixels, side: workspace.side, patch: architecture.patchSize, behind: architecture.leadingTokens, into: patches)
    patchEmbedding.product(patches, weights, into: stream)
    // The rows of the product before the patches are 0.
    for image in 0..<pixels.rows {
      let rows = stream.rows(image * tokens..<(image + 1) * tokens)
      add(rows, table, into: rows)
    }
    workspace.show("backbone.patch_embed.proj", Factor(stream), in: tile)
  }

  private func pool(
    _ tile: ImageTile, _ parameters: FloatBuffer, _ workspace: BackboneWorkspace, into features: Matrix
  ) {
    let (tokens, leading, pooled) = (workspace.tokens, architecture.leadingTokens, workspace.pooled(of: tile))
    if architecture.useMeanPooling {
      let output = workspace.output(of: tile)
      fill(pooled, with: 0)
      for image in 0..<pooled.rows {
        sumRows(
          of: Factor(output.rows(image * tokens + leading..<(image + 1) * tokens)), addingTo: pooled.row(at: image))
      }
      scale(pooled, by: 1 / Float(tokens - leading))
    }
    layerNorm(
      pooled, weight: finalNorm.weight(parameters), bias: finalNorm.bias(parameters), epsilon: layerNormEpsilon,
      into: Factor(features), keeping: workspace.outputMoments(of: tile))
    workspace.show(architecture.finalNormName, Factor(features), in: tile)
  }
}

// MARK: - Backward

extension Backbone {
  /// Adds the features' gradient, carried back to every parameter of the backbone, to `gradient`.
  ///
  /// - Parameters:
  ///   - featureGradient: `[B, D]`, of the B images of the last `forward` in this workspace.
  ///   - weights: those of that `forward`.
  ///   - workspace: as `forward` left it; can be used for one `backward` only, which overwrites parts of it.
  ///   - gradient: laid out by `ParameterLayout`; added to. The head's part is not touched.
  public func backward(
    _ featureGradient: Matrix, weights: NetworkWeights, workspace: BackboneWorkspace, gradient: FloatBuffer
  ) {
    guard let scratch = workspace.scratch else { fatalError("backward in a workspace that keeps no activations") }
    invariant(featureGradient.rows == workspace.images, "\(featureGradient.rows) images back")
    invariant(gradient.count == layout.count)
    fill(workspace.tokenTable, with: 0)
    for tile in workspace.tiles {
      unpool(featureGradient.rows(tile.images), tile, weights.floats, workspace, scratch, gradient)
      for block in blocks.indices.reversed() {
        BlockPass(self, block: block, tile, weights, workspace).backward(scratch, gradient)
      }
      unembed(scratch.stream.rows(0..<tile.images.count * workspace.tokens), tile, workspace, gradient)
    }
    addTokenTableGradient(workspace, gradient)
  }

  private func unpool(
    _ featureGradient: Matrix, _ tile: ImageTile, _ parameters: FloatBuffer, _ workspace: BackboneWorkspace,
    _ scratch: BackwardScratch, _ gradient: FloatBuffer
  ) {
    let (images, tokens, leading) = (featureGradient.rows, workspace.tokens, architecture.leadingTokens)
    let pooledGradient = scratch.classStream.rows(0..<images)
    layerNormBackward(
      workspace.pooled(of: tile), moments: workspace.outputMoments(of: tile), weight: finalNorm.weight(parameters),
      gradient: featureGradient, into: pooledGradient, adding: false, weightGradient: finalNorm.weight(gradient),
      biasGradient: finalNorm.bias(gradient))
    workspace.show(architecture.finalNormName, Factor(pooledGradient), in: tile, backward: true)
    if !architecture.useMeanPooling { return }
    scale(pooledGradient, by: 1 / Float(tokens - leading))
    fill(scratch.stream.rows(0..<images * tokens), with: 0)
    for image in 0..<images {
      let patches = scratch.stream.rows(image * tokens + leading..<(image + 1) * tokens)
      addRow(pooledGradient.row(at: image), toRowsOf: patches)
    }
  }

  private func unembed(
    _ stream: Matrix, _ tile: ImageTile, _ workspace: BackboneWorkspace, _ gradient: FloatBuffer
  ) {
    let (tokens, table) = (workspace.tokens, workspace.tokenTable)
    for image in 0..<stream.rows / tokens {
      add(table, stream.rows(image * tokens..<(image + 1) * tokens), into: table)
    }
    multiply(
      workspace.rounded(stream), .transposed, workspace.patches(of: tile), .asIs, keep: 1,
      into: patchEmbedding.weightGradient(gradient))
  }

  /// `makeTokenTable` in reverse.
  private func addTokenTableGradient(_ workspace: BackboneWorkspace, _ gradient: FloatBuffer) {
    let (table, tokens) = (workspace.tokenTable, workspace.tokens)
    let (positions, leading) = (positions(gradient), architecture.leadingTokens)
    let (patchTable, patchPositions) = (table.rows(leading..<tokens), positions.rows(1..<positions.rows))
    add(classToken(gradient), table.rows(0..<1), into: classToken(gradient))
    add(positions.rows(0..<1), table.rows(0..<1), into: positions.rows(0..<1))
    if let registers = registers(gradient) { add(registers, table.rows(1..<leading), into: registers) }
    if let interpolation = workspace.interpolation {
      multiply(interpolation, .transposed, patchTable, .asIs, keep: 1, into: patchPositions)
    } else {
      add(patchPositions, patchTable, into: patchPositions)
    }
    sumRows(of: Factor(patchTable), addingTo: patchEmbedding.bias(gradient))
  }
}

// MARK: - Pieces of both

extension Backbone {
  private func classToken(_ buffer: FloatBuffer) -> Matrix {
    buffer.matrix(at: classTokenOffset, rows: 1, columns: architecture.embedDim)
  }

  private func registers(_ buffer: FloatBuffer) -> Matrix? {
    registersOffset.map { buffer.matrix(at: $0, rows: architecture.registers, columns: architecture.embedDim) }
  }

  /// The class token's, then the patches'.
  private func positions(_ buffer: FloatBuffer) -> Matrix {
    let patches = architecture.trainedSide * architecture.trainedSide
    return buffer.matrix(at: positionsOffset, rows: 1 + patches, columns: architecture.embedDim)
  }
}
