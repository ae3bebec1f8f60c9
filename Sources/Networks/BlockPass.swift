/// A tile's pass through one block: where its activations lie, and the pieces that forward and backward share.
import Numerics

/// What a block adds to the residual stream, each in its turn.
enum ResidualBranch: Int, CaseIterable {
  case attention
  case mlp
}

/// The layers of a block, in the words of the tensors' names, and what stands between two of them.
enum BlockLayer: String {
  case norm1
  case qkv = "attn.qkv"
  /// Mixes tokens.
  case attention = "attn"
  case projection = "attn.proj"
  case norm2
  case fc1 = "mlp.fc1"
  case fc2 = "mlp.fc2"
}

/// One block, one tile of images, and the matrices that they meet in.
///
/// Stochastic depth leaves images out of a branch: its matrices hold the images that compute it, gathered. Below, B
/// images of T tokens, D wide, and Q queries an image: T, or 1 where only the class token leaves the block. A branch's
/// matrices have B·T or B·Q rows, B counting the images that compute it.
struct BlockPass {
  let architecture: NetworkArchitecture
  let block: Int
  let layers: BlockLayers
  let weights: NetworkWeights
  let workspace: BackboneWorkspace
  let tile: ImageTile
  /// T.
  let tokens: Int
  /// Q.
  let queries: Int
  /// Of the tile, those that compute each branch, counted from its first.
  let attentionImages: [Int]
  let mlpImages: [Int]
  let kept: BlockActivations

  init(_ backbone: Backbone, block: Int, _ tile: ImageTile, _ weights: NetworkWeights, _ workspace: BackboneWorkspace) {
    architecture = backbone.architecture
    self.block = block
    layers = backbone.blocks[block]
    self.weights = weights
    self.workspace = workspace
    self.tile = tile
    tokens = workspace.tokens
    queries = architecture.isCutShort(block: block) ? 1 : tokens
    attentionImages = tile.images(computing: .attention, ofBlock: block)
    mlpImages = tile.images(computing: .mlp, ofBlock: block)
    kept = workspace.activations(block: block, of: tile, queries: queries)
  }
}

// MARK: - Matrices

extension BlockPass {
  /// Of everything but the products' weights.
  var parameters: FloatBuffer { weights.floats }
  /// Of what products read.
  var precision: Precision { weights.precision }

  private var attentionRows: Range<Int> { 0..<attentionImages.count * tokens }
  var attentionQueryRows: Range<Int> { 0..<attentionImages.count * queries }
  private var mlpRows: Range<Int> { 0..<mlpImages.count * queries }

  /// The residual stream before the block, `[B·T, D]`, of all images of the tile.
  var input: Matrix { kept.input }
  /// Of `input`, what goes past the block: `[B·Q, D]`.
  var queriedInput: Matrix { isCutShort ? kept.input.everyRow(tokens) : kept.input }
  /// The residual stream between the branches, `[B·Q, D]`, of all images.
  var middle: Matrix { kept.middle }
  /// The residual stream behind the block, `[B·Q, D]`, of all images.
  var output: Matrix {
    block == architecture.depth - 1 ? workspace.output(of: tile) : workspace.input(block: block + 1, of: tile)
  }

  var normed1: Factor { kept.normed1.rows(attentionRows) }
  var moments1: Matrix { kept.moments1.rows(attentionRows) }
  var qkv: Factor { kept.qkv.rows(attentionRows) }
  var mixed: Factor { kept.mixed.rows(attentionQueryRows) }
  /// `[B·heads·Q, P]`; `[Q, P]` where nothing is kept: P is T, padded as `AttentionScratch` says.
  var probabilities: Factor {
    let rows = workspace.keepsActivations ? attentionImages.count * architecture.numHeads * queries : queries
    return kept.probabilities.rows(0..<rows)
  }

  var normed2: Factor { kept.normed2.rows(mlpRows) }
  var moments2: Matrix { kept.moments2.rows(mlpRows) }
  var preactivation: Factor { kept.preactivation.rows(mlpRows) }
  var hidden: Factor { workspace.hidden.rows(mlpRows) }

  var attentionShape: AttentionShape {
    AttentionShape(
      images: attentionImages.count, tokens: tokens, queries: queries, heads: architecture.numHeads,
      width: architecture.embedDim)
  }

  /// Only the class token goes past keys and values.
  var isCutShort: Bool { architecture.isCutShort(block: block) }

  /// Shows a layer's values to the workspace's observer.
  /// - Parameter images: those that are in `values`, counted from the tile's first; all if nil.
  func show(
    _ layer: BlockLayer, _ values: @autoclosure () -> Factor, of images: [Int]? = nil, backward: Bool = false
  ) {
    workspace.show("backbone.blocks.\(block).\(layer.rawValue)", values(), of: images, in: tile, backward: backward)
  }

  /// The same of queries, keys and values, or their gradient: those of a block cut short have only the class tokens'
  /// queries.
  func showHeads(_ layer: BlockLayer, _ values: Factor, backward: Bool = false) {
    if workspace.observer == nil { return }
    guard isCutShort else { return show(layer, values, of: attentionImages, backward: backward) }
    show(layer, values.everyRow(tokens).columns(queryColumns), of: attentionImages, backward: backward)
    show(layer, values.columns(keyAndValueColumns), of: attentionImages, backward: backward)
  }

  /// Of queries, keys and values.
  var queryColumns: Range<Int> { 0..<architecture.embedDim }
  var keyAndValueColumns: Range<Int> { architecture.embedDim..<3 * architecture.embedDim }
}

// MARK: - Into and out of a branch

extension BlockPass {
  /// LayerNorm of `count` rows of each of these images, gathered.
  func normalize(
    _ x: Matrix, of images: [Int], rows count: Int, _ norm: Norm, into y: Factor, keeping moments: Matrix
  ) {
    let (weight, bias) = (norm.weight(parameters), norm.bias(parameters))
    if y.rows == x.rows {
      layerNorm(x, weight: weight, bias: bias, epsilon: layerNormEpsilon, into: y, keeping: moments)
      return
    }
    for (place, image) in images.enumerated() {
      let (to, from) = (place * count..<(place + 1) * count, image * count..<(image + 1) * count)
      layerNorm(
        x.rows(from), weight: weight, bias: bias, epsilon: layerNormEpsilon, into: y.rows(to), keeping: moments.rows(to)
      )
    }
  }

  /// `normalize` in reverse: scatters.
  func normalizeBackward(
    _ yGradient: Matrix, of images: [Int], rows count: Int, _ norm: Norm, _ x: Matrix, moments: Matrix,
    addingTo xGradient: Matrix, _ gradient: FloatBuffer
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
      let (from, to) = (place * count..<(place + 1) * count, image * count..<(image + 1) * count)
      layerNormBackward(
        x.rows(to), moments: moments.rows(from), weight: weight, gradient: yGradient.rows(from),
        into: xGradient.rows(to), adding: true, weightGradient: weightGradient, biasGradient: biasGradient)
    }
  }

  /// What a branch's last product gives, `[B·Q, D]`, gathered: kept where LayerScale's gradient will need it.
  func result(of branch: ResidualBranch) -> Matrix {
    let place =
      switch branch {
      case .attention: kept.attended
      case .mlp: kept.transformed
      }
    return (place ?? workspace.branch).rows(gatheredRows(branch))
  }

  /// Of a branch's matrices.
  private func gatheredRows(_ branch: ResidualBranch) -> Range<Int> {
    0..<tile.images(computing: branch, ofBlock: block).count * queries
  }

  private func layerScale(_ branch: ResidualBranch) -> LayerScale? {
    switch branch {
    case .attention: layers.attentionScale
    case .mlp: layers.mlpScale
    }
  }

  /// y = x + scale · gamma · (result + bias) for the images that compute the branch, y = x for the others; gamma is
  /// LayerScale's, or absent.
  func endBranch(_ branch: ResidualBranch, bias: Vector, to x: Matrix, into y: Matrix) {
    if tile.images(computing: branch, ofBlock: block).isEmpty { return copy(x, into: y) }
    let (result, gamma) = (result(of: branch), layerScale(branch)?.gamma(parameters))
    guard let draw = workspace.draw else { return addBranch(x, result, bias: bias, gamma: gamma, scale: 1, into: y) }
    var place = 0
    for (row, image) in tile.images.enumerated() {
      let range = row * queries..<(row + 1) * queries
      let factor = draw.scale(branch, ofBlock: block, image: image)
      if factor == 0 {
        copy(x.rows(range), into: y.rows(range))
      } else {
        addBranch(
          x.rows(range), result.rows(place * queries..<(place + 1) * queries), bias: bias, gamma: gamma, scale: factor,
          into: y.rows(range))
        place += 1
      }
    }
  }

  /// `endBranch` in reverse: the stream's gradient of the images that compute the branch, times their scale and gamma.
  /// Adds gamma's to `gradient`.
  /// - Returns: `[B·Q, D]`, gathered; in fp32 the stream itself where no branch is dropped and there is no gamma.
  func endBranchBackward(
    _ branch: ResidualBranch, bias: Vector, _ stream: Matrix, _ gradient: FloatBuffer
  ) -> Factor {
    let layerScale = layerScale(branch)
    if workspace.draw == nil, layerScale == nil { return workspace.rounded(stream) }
    let gathered = workspace.branch.rows(gatheredRows(branch)).factor(in: precision)
    for (place, row) in tile.images(computing: branch, ofBlock: block).enumerated() {
      let (from, to) = (row * queries..<(row + 1) * queries, place * queries..<(place + 1) * queries)
      let scale = workspace.draw?.scale(branch, ofBlock: block, image: tile.images.lowerBound + row) ?? 1
      if let layerScale {
        addBranchBackward(
          stream.rows(from), branch: result(of: branch).rows(to), bias: bias, gamma: layerScale.gamma(parameters),
          scale: scale, into: gathered.rows(to), gammaGradient: layerScale.gamma(gradient))
      } else {
        convert(stream.rows(from), times: scale, into: gathered.rows(to))
      }
    }
    return gathered
  }
}
