/// The memory that a backbone works in: sized once, used for every group of pictures of one side.
import Numerics

/// Activations and scratch for up to `maximumImages` pictures of `side` pixels.
///
/// Pictures pass in tiles, each through all blocks before the next: what one product writes is then still in the cache
/// when the next one reads it, and scratch is a tile's. How pictures are cut into tiles follows from their number and
/// side alone, for sums over them, and so rounding, follow from it.
///
/// With `keepsActivations` every block has activations of its own, for `backward`; without, all blocks share one set
/// and only `forward` may be called. Workspaces of different sides may lie in the same memory, one used at a time.
public final class BackboneWorkspace {
  public let architecture: NetworkArchitecture
  public let maximumImages: Int
  /// Of the pictures, in pixels.
  public let side: Int
  public let keepsActivations: Bool
  /// Of what products read.
  public let precision: Precision

  let tokens: Int
  private let tiling: Tiling
  /// Of all images, or of one tile's where nothing is kept.
  private let blocks: [BlockActivations]
  /// `[images · tokens, patchFloats]`; the rows before an image's patches are zero.
  private let patches: Factor
  /// What the last norm normalises, `[images, width]`: class tokens, or the means of the patch tokens.
  private let pooled: Matrix
  private let outputMoments: Matrix
  /// A tile's last block's result, `[R, width]`, for mean pooling; a class token is written to `pooled` at once.
  private let output: Matrix?
  /// `[tokens, width]`: what is added to every image's tokens, and its gradient.
  let tokenTable: Matrix
  let interpolation: Matrix?
  /// `[R, width]`: one branch's gathered rows.
  let branch: Matrix
  /// `[R, mlpDim]`.
  let hidden: Factor
  let scratch: BackwardScratch?
  let attentionScratch: AttentionScratch
  /// `[R, max(mlpDim, 3 · width)]`: gradients as products read them.
  private let wide: Factor?

  /// What the last `forward` was given: its draw, and its images, cut into tiles.
  private(set) var draw: DropPathDraw?
  private(set) var tiles: [ImageTile] = []
  var images: Int { tiles.last?.images.upperBound ?? 0 }

  /// Who looks at every layer's values; nil, as a rule, for nobody.
  public var observer: LayerObserver?

  /// Rows of a token matrix that a tile comes nearest to.
  public static let rowsAtOnce = 512

  /// Floats that a workspace of these sizes takes.
  public static func floatCount(
    _ architecture: NetworkArchitecture, maximumImages: Int, side: Int, keepsActivations: Bool,
    precision: Precision = .fp32, rowsAtOnce: Int = rowsAtOnce
  ) -> Int {
    var layout = WindowLayout(precision: precision)
    let tiling = Tiling(tokens: architecture.tokens(side: side), rowsAtOnce: rowsAtOnce)
    _ = Windows(architecture, maximumImages: maximumImages, tiling, keeps: keepsActivations, &layout)
    return layout.count
  }

  /// Floats that a workspace has besides, never in shared memory: what interpolates position embeddings.
  public static func interpolationCount(_ architecture: NetworkArchitecture, side: Int) -> Int {
    let (patches, trained) = (side / architecture.patchSize, architecture.trainedSide)
    return patches == trained ? 0 : patches * patches * trained * trained
  }

  /// - Parameters:
  ///   - precision: of the weights that will pass it.
  ///   - memory: at least `floatCount` floats, used from the first on; made here if nil.
  ///   - rowsAtOnce: > 0; other tiles, other rounding.
  /// - Throws: `NetworkError` if patches do not divide `side`.
  public init(
    _ architecture: NetworkArchitecture, maximumImages: Int, side: Int, keepsActivations: Bool,
    precision: Precision = .fp32, memory: FloatBuffer? = nil, rowsAtOnce: Int = rowsAtOnce
  ) throws {
    try architecture.checkSide(side)
    invariant(maximumImages > 0 && rowsAtOnce > 0)
    tokens = architecture.tokens(side: side)
    tiling = Tiling(tokens: tokens, rowsAtOnce: rowsAtOnce)
    var layout = WindowLayout(precision: precision)
    let windows = Windows(architecture, maximumImages: maximumImages, tiling, keeps: keepsActivations, &layout)
    let memory = memory ?? FloatBuffer(count: layout.count)
    self.architecture = architecture
    self.maximumImages = maximumImages
    self.side = side
    self.keepsActivations = keepsActivations
    self.precision = precision
    blocks = windows.blocks.map { BlockActivations($0, memory) }
    patches = windows.patches.factor(memory)
    tokenTable = windows.tokenTable.matrix(memory)
    output = windows.output?.matrix(memory)
    pooled = windows.pooled.matrix(memory)
    outputMoments = windows.outputMoments.matrix(memory)
    branch = windows.branch.matrix(memory)
    hidden = windows.hidden.factor(memory)
    attentionScratch = AttentionScratch(
      scores: windows.scores.matrix(memory), copies: windows.attentionCopies.map { $0.factor(memory) })
    wide = windows.wide.map { $0.factor(memory) }
    scratch = windows.scratch.map { BackwardScratch($0, memory) }
    interpolation = positionInterpolation(
      side: side / architecture.patchSize, trainedSide: architecture.trainedSide)
  }
}

// MARK: - Tiles

extension BackboneWorkspace {
  /// Cuts the images of a `forward` into tiles.
  func cut(images: Int, _ draw: DropPathDraw?) {
    self.draw = draw
    tiles = tiling.tiles(of: images, architecture, draw)
  }

  /// - Parameter queries: tokens of an image that leave the block.
  func activations(block: Int, of tile: ImageTile, queries: Int) -> BlockActivations {
    blocks[block].images(
      kept(tile), tokens: tokens, queries: queries,
      rowsOfProbabilities: keepsActivations ? architecture.numHeads * queries : nil)
  }

  /// The residual stream before a block, of its activations by itself: where the block before writes.
  func input(block: Int, of tile: ImageTile) -> Matrix { blocks[block].input.images(kept(tile), rows: tokens) }

  func patches(of tile: ImageTile) -> Factor { patches.images(kept(tile), rows: tokens) }

  func pooled(of tile: ImageTile) -> Matrix { pooled.rows(kept(tile)) }

  func outputMoments(of tile: ImageTile) -> Matrix { outputMoments.rows(kept(tile)) }

  /// Where the last block writes.
  func output(of tile: ImageTile) -> Matrix {
    output?.images(0..<tile.images.count, rows: tokens) ?? pooled(of: tile)
  }

  /// Scratch of a tile, of its first rows.
  func wide(rows: Int, columns: Int) -> Factor {
    guard let wide else { fatalError("a workspace that keeps nothing has no room for gradients") }
    invariant(rows * columns <= wide.rows * wide.columns)
    return wide.buffer.factor(at: wide.offset, rows: rows, columns: columns, precision: precision)
  }

  /// A tile's gradient as products read it: itself in fp32, else rounded into `branch`.
  func rounded(_ gradient: Matrix) -> Factor {
    if precision == .fp32 { return Factor(gradient) }
    let rounded = branch.rows(0..<gradient.rows).factor(in: precision)
    convert(gradient, into: rounded)
    return rounded
  }

  /// Where a tile's images lie: each tile in the same place where nothing is kept.
  private func kept(_ tile: ImageTile) -> Range<Int> { keepsActivations ? tile.images : 0..<tile.images.count }
}

extension Matrix {
  fileprivate func images(_ images: Range<Int>, rows count: Int) -> Matrix {
    rows(images.lowerBound * count..<images.upperBound * count)
  }
}

extension Factor {
  fileprivate func images(_ images: Range<Int>, rows count: Int) -> Factor {
    rows(images.lowerBound * count..<images.upperBound * count)
  }
}

/// What one block keeps for backward. R = images · tokens; rows of dropped images are missing from a tile's branch
/// matrices (all but `input` and `middle`), so those use a prefix.
struct BlockActivations {
  /// The residual stream before attention, `[R, width]`.
  let input: Matrix
  /// Mean and 1 / deviation of each normalised row.
  let moments1: Matrix
  let normed1: Factor
  /// `[R, 3 · width]`, with bias.
  let qkv: Factor
  /// `[images · heads · queries, padded tokens]`; `[queries, padded tokens]` where nothing is kept.
  let probabilities: Factor
  let mixed: Factor
  /// What attention's last product gave, `[R, width]`, where LayerScale's gradient needs it.
  let attended: Matrix?
  /// The residual stream between attention and MLP, `[R, width]`; class tokens alone in a last block cut short.
  let middle: Matrix
  let moments2: Matrix
  let normed2: Factor
  /// `[R, mlpDim]`: before the GELU, with bias.
  let preactivation: Factor
  /// What the MLP's last product gave, `[R, width]`, where LayerScale's gradient needs it.
  let transformed: Matrix?
}

extension BlockActivations {
  fileprivate init(_ windows: BlockWindows, _ memory: FloatBuffer) {
    self.init(
      input: windows.input.matrix(memory), moments1: windows.moments1.matrix(memory),
      normed1: windows.normed1.factor(memory), qkv: windows.qkv.factor(memory),
      probabilities: windows.probabilities.factor(memory), mixed: windows.mixed.factor(memory),
      attended: windows.attended?.matrix(memory), middle: windows.middle.matrix(memory),
      moments2: windows.moments2.matrix(memory), normed2: windows.normed2.factor(memory),
      preactivation: windows.preactivation.factor(memory), transformed: windows.transformed?.matrix(memory))
  }

  /// The rows of these images.
  ///
  /// - Parameter rowsOfProbabilities: of an image; nil where all share one head's.
  fileprivate func images(
    _ images: Range<Int>, tokens: Int, queries: Int, rowsOfProbabilities: Int?
  ) -> BlockActivations {
    BlockActivations(
      input: input.images(images, rows: tokens), moments1: moments1.images(images, rows: tokens),
      normed1: normed1.images(images, rows: tokens), qkv: qkv.images(images, rows: tokens),
      probabilities: rowsOfProbabilities.map { probabilities.images(images, rows: $0) } ?? probabilities,
      mixed: mixed.images(images, rows: queries), attended: attended?.images(images, rows: queries),
      middle: middle.images(images, rows: queries), moments2: moments2.images(images, rows: queries),
      normed2: normed2.images(images, rows: queries), preactivation: preactivation.images(images, rows: queries),
      transformed: transformed?.images(images, rows: queries))
  }
}

struct BackwardScratch {
  /// The gradient of the residual stream, `[R, width]`.
  let stream: Matrix
  /// The same for class tokens alone, `[images, width]`.
  let classStream: Matrix
  /// `[R, width]`.
  let normed: Matrix

  fileprivate init(_ windows: ScratchWindows, _ memory: FloatBuffer) {
    stream = windows.stream.matrix(memory)
    classStream = windows.classStream.matrix(memory)
    normed = windows.normed.matrix(memory)
  }
}

// MARK: - Where each matrix lies

private struct Window {
  /// In floats.
  let offset: Int
  let rows: Int
  let columns: Int
  let precision: Precision

  func matrix(_ memory: FloatBuffer) -> Matrix { memory.matrix(at: offset, rows: rows, columns: columns) }

  func factor(_ memory: FloatBuffer) -> Factor {
    memory.factor(
      at: offset * MemoryLayout<Float>.stride / precision.bytes, rows: rows, columns: columns, precision: precision)
  }
}

/// Lays windows one after the other, each at the start of a cache line.
private struct WindowLayout {
  /// Of what products read.
  let precision: Precision
  /// Floats so far.
  var count = 0

  /// A matrix's.
  mutating func take(_ rows: Int, _ columns: Int) -> Window { take(rows, columns, .fp32) }

  /// A factor's.
  mutating func takeFactor(_ rows: Int, _ columns: Int) -> Window { take(rows, columns, precision) }

  private mutating func take(_ rows: Int, _ columns: Int, _ precision: Precision) -> Window {
    let window = Window(offset: count, rows: rows, columns: columns, precision: precision)
    count += (precision.floats(for: rows * columns) + 15) / 16 * 16
    return window
  }
}

private struct BlockWindows {
  let input, moments1, normed1, qkv, probabilities, mixed, middle, moments2, normed2, preactivation: Window
  let attended, transformed: Window?

  init(
    _ architecture: NetworkArchitecture, images: Int, tokens: Int, queries: Int, keeps: Bool,
    _ layout: inout WindowLayout
  ) {
    let (all, queried, width) = (images * tokens, images * queries, architecture.embedDim)
    input = layout.take(all, width)
    moments1 = layout.take(all, 2)
    normed1 = layout.takeFactor(all, width)
    qkv = layout.takeFactor(all, 3 * width)
    probabilities = layout.takeFactor(
      keeps ? queried * architecture.numHeads : queries, AttentionScratch.padded(tokens: tokens, layout.precision))
    mixed = layout.takeFactor(queried, width)
    middle = layout.take(queried, width)
    moments2 = layout.take(queried, 2)
    normed2 = layout.takeFactor(queried, width)
    preactivation = layout.takeFactor(queried, architecture.mlpDim)
    attended = keeps && architecture.hasLayerScale ? layout.take(queried, width) : nil
    transformed = keeps && architecture.hasLayerScale ? layout.take(queried, width) : nil
  }
}

private struct ScratchWindows {
  let stream, classStream, normed: Window
}

private struct Windows {
  let blocks: [BlockWindows]
  let patches, pooled, outputMoments, tokenTable, branch, hidden, scores: Window
  /// What `AttentionScratch` copies heads to.
  let attentionCopies: [Window]
  let output, wide: Window?
  let scratch: ScratchWindows?

  init(
    _ architecture: NetworkArchitecture, maximumImages: Int, _ tiling: Tiling, keeps: Bool, _ layout: inout WindowLayout
  ) {
    let (tokens, width) = (tiling.tokens, architecture.embedDim)
    let tile = tiling.largestTile(ofAtMost: maximumImages)
    // 1. What backward needs, of every image; of a tile's if there will be none.
    let images = keeps ? maximumImages : tile
    var blocks: [BlockWindows] = []
    for block in 0..<architecture.depth {
      if !keeps && block > 0 {
        blocks.append(blocks[0])
        continue
      }
      let isCutShort = keeps && architecture.isCutShort(block: block)
      blocks.append(
        BlockWindows(
          architecture, images: images, tokens: tokens, queries: isCutShort ? 1 : tokens, keeps: keeps, &layout))
    }
    self.blocks = blocks
    patches = layout.takeFactor(images * tokens, architecture.patchFloats)
    pooled = layout.take(images, width)
    outputMoments = layout.take(images, 2)
    // 2. What each tile overwrites.
    let rows = tile * tokens
    tokenTable = layout.take(tokens, width)
    branch = layout.take(rows, width)
    hidden = layout.takeFactor(rows, architecture.mlpDim)
    let padded = AttentionScratch.padded(tokens: tokens, layout.precision)
    scores = layout.take(tokens, padded)
    var attentionCopies: [Window] = []
    for _ in 0..<AttentionScratch.copyCount(layout.precision) {
      attentionCopies.append(layout.takeFactor(padded, width / architecture.numHeads))
    }
    self.attentionCopies = attentionCopies
    output = architecture.useMeanPooling ? layout.take(rows, width) : nil
    scratch =
      keeps
      ? ScratchWindows(
        stream: layout.take(rows, width), classStream: layout.take(tile, width), normed: layout.take(rows, width)) : nil
    wide = keeps ? layout.takeFactor(rows, max(architecture.mlpDim, 3 * width)) : nil
  }
}
