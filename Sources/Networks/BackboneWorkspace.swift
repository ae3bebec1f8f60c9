/// The memory that a backbone works in: sized once, used for every group of pictures of one side.
import Numerics

/// Activations and scratch for up to `maximumImages` pictures of `side` pixels.
///
/// With `keepsActivations` every block has activations of its own, for `backward`; without, all blocks share one set
/// and only `forward` may be called. Workspaces of different sides may lie in the same memory, one used at a time.
public final class BackboneWorkspace {
  public let architecture: NetworkArchitecture
  public let maximumImages: Int
  /// Of the pictures, in pixels.
  public let side: Int
  public let keepsActivations: Bool

  let tokens: Int
  let blocks: [BlockActivations]
  /// `[images · tokens, patchFloats]`; the class token's row is zero.
  let patches: Matrix
  /// `[tokens, width]`: what is added to every image's tokens, and its gradient.
  let tokenTable: Matrix
  let interpolation: Matrix?
  /// The last block's result: `[images, width]`, with mean pooling `[images · tokens, width]`.
  let output: Matrix
  let pooled: Matrix
  let outputMoments: Matrix
  /// Wide enough for one branch's gathered rows.
  let branch: Matrix
  let hidden: Matrix
  let scratch: BackwardScratch?
  let attentionScratch: Matrix

  /// What the last `forward` was given: its images, its draw, and the images that each branch computed.
  var kept: [[Int]]
  var images = 0
  var draw: DropPathDraw?

  /// Who looks at every layer's values; nil, as a rule, for nobody.
  public var observer: LayerObserver?

  /// Floats that a workspace of these sizes takes.
  public static func floatCount(
    _ architecture: NetworkArchitecture, maximumImages: Int, side: Int, keepsActivations: Bool
  ) -> Int {
    var plan = WindowPlan()
    _ = Windows(architecture, images: maximumImages, side: side, keeps: keepsActivations, &plan)
    return plan.count
  }

  /// Floats that a workspace has besides, never in shared memory: what interpolates position embeddings.
  public static func interpolationCount(_ architecture: NetworkArchitecture, side: Int) -> Int {
    let (patches, trained) = (side / architecture.patchSize, architecture.trainedSide)
    return patches == trained ? 0 : patches * patches * trained * trained
  }

  /// - Parameter memory: at least `floatCount` floats, used from the first on; made here if nil.
  /// - Throws: `NetworkError` if patches do not divide `side`.
  public init(
    _ architecture: NetworkArchitecture, maximumImages: Int, side: Int, keepsActivations: Bool,
    memory: FloatBuffer? = nil
  ) throws {
    try architecture.checkSide(side)
    invariant(maximumImages > 0)
    var plan = WindowPlan()
    let windows = Windows(architecture, images: maximumImages, side: side, keeps: keepsActivations, &plan)
    let memory = memory ?? FloatBuffer(count: plan.count)
    self.architecture = architecture
    self.maximumImages = maximumImages
    self.side = side
    self.keepsActivations = keepsActivations
    tokens = architecture.tokens(side: side)
    blocks = windows.blocks.map { BlockActivations($0, memory) }
    patches = windows.patches.matrix(memory)
    tokenTable = windows.tokenTable.matrix(memory)
    output = windows.output.matrix(memory)
    pooled = windows.pooled.matrix(memory)
    outputMoments = windows.outputMoments.matrix(memory)
    branch = windows.branch.matrix(memory)
    hidden = windows.hidden.matrix(memory)
    attentionScratch = windows.attentionScratch.matrix(memory)
    scratch = windows.scratch.map { BackwardScratch($0, memory) }
    interpolation = positionInterpolation(
      side: side / architecture.patchSize, trainedSide: architecture.trainedSide)
    kept = Array(repeating: [], count: 2 * architecture.depth)
    for branch in kept.indices { kept[branch].reserveCapacity(maximumImages) }
  }
}

/// What one block keeps for backward. R = images · tokens; rows of dropped images are missing from the branches'
/// matrices (all but `input` and `middle`), so those use a prefix.
struct BlockActivations {
  /// The residual stream before attention, `[R, width]`.
  let input: Matrix
  /// Mean and 1 / deviation of each normalised row.
  let moments1: Matrix
  let normed1: Matrix
  /// `[R, 3 · width]`, with bias.
  let qkv: Matrix
  /// `[images · heads · queries, tokens]`; `[queries, tokens]` where nothing is kept.
  let probabilities: Matrix
  let mixed: Matrix
  /// The residual stream between attention and MLP, `[R, width]`; class tokens alone in a last block cut short.
  let middle: Matrix
  let moments2: Matrix
  let normed2: Matrix
  /// `[R, mlpDim]`: before the GELU, with bias.
  let preactivation: Matrix

  fileprivate init(_ windows: BlockWindows, _ memory: FloatBuffer) {
    input = windows.input.matrix(memory)
    moments1 = windows.moments1.matrix(memory)
    normed1 = windows.normed1.matrix(memory)
    qkv = windows.qkv.matrix(memory)
    probabilities = windows.probabilities.matrix(memory)
    mixed = windows.mixed.matrix(memory)
    middle = windows.middle.matrix(memory)
    moments2 = windows.moments2.matrix(memory)
    normed2 = windows.normed2.matrix(memory)
    preactivation = windows.preactivation.matrix(memory)
  }
}

struct BackwardScratch {
  /// The gradient of the residual stream, `[R, width]`.
  let stream: Matrix
  /// The same for class tokens alone, `[images, width]`.
  let classStream: Matrix
  /// `[R, width]`.
  let normed: Matrix
  /// `[R, max(mlpDim, 3 · width)]`, as floats.
  let wide: Vector

  fileprivate init(_ windows: ScratchWindows, _ memory: FloatBuffer) {
    stream = windows.stream.matrix(memory)
    classStream = windows.classStream.matrix(memory)
    normed = windows.normed.matrix(memory)
    wide = memory.vector(at: windows.wide.offset, count: windows.wide.rows * windows.wide.columns)
  }

  func wide(rows: Int, columns: Int) -> Matrix { wide.matrix(rows: rows, columns: columns) }
}

// MARK: - Where each matrix lies

private struct Window {
  let offset: Int
  let rows: Int
  let columns: Int

  func matrix(_ memory: FloatBuffer) -> Matrix { memory.matrix(at: offset, rows: rows, columns: columns) }
}

/// Lays windows one after the other, each at the start of a cache line.
private struct WindowPlan {
  var count = 0

  mutating func take(_ rows: Int, _ columns: Int) -> Window {
    let window = Window(offset: count, rows: rows, columns: columns)
    count += (rows * columns + 15) / 16 * 16
    return window
  }
}

private struct BlockWindows {
  let input, moments1, normed1, qkv, probabilities, mixed, middle, moments2, normed2, preactivation: Window

  init(
    _ architecture: NetworkArchitecture, images: Int, tokens: Int, queries: Int, keeps: Bool, _ plan: inout WindowPlan
  ) {
    let (all, queried, width) = (images * tokens, images * queries, architecture.embedDim)
    input = plan.take(all, width)
    moments1 = plan.take(all, 2)
    normed1 = plan.take(all, width)
    qkv = plan.take(all, 3 * width)
    probabilities = plan.take(keeps ? queried * architecture.numHeads : queries, tokens)
    mixed = plan.take(queried, width)
    middle = plan.take(queried, width)
    moments2 = plan.take(queried, 2)
    normed2 = plan.take(queried, width)
    preactivation = plan.take(queried, architecture.mlpDim)
  }
}

private struct ScratchWindows {
  let stream, classStream, normed, wide: Window
}

private struct Windows {
  let blocks: [BlockWindows]
  let patches, tokenTable, output, pooled, outputMoments, branch, hidden, attentionScratch: Window
  let scratch: ScratchWindows?

  init(_ architecture: NetworkArchitecture, images: Int, side: Int, keeps: Bool, _ plan: inout WindowPlan) {
    let (tokens, width) = (architecture.tokens(side: side), architecture.embedDim)
    let all = images * tokens
    let onlyClassLeaves = !architecture.useMeanPooling
    var blocks: [BlockWindows] = []
    for block in 0..<architecture.depth {
      if !keeps && block > 0 {
        blocks.append(blocks[0])
        continue
      }
      let queries = keeps && onlyClassLeaves && block == architecture.depth - 1 ? 1 : tokens
      blocks.append(BlockWindows(architecture, images: images, tokens: tokens, queries: queries, keeps: keeps, &plan))
    }
    self.blocks = blocks
    patches = plan.take(all, architecture.patchFloats)
    tokenTable = plan.take(tokens, width)
    output = plan.take(onlyClassLeaves ? images : all, width)
    pooled = plan.take(images, width)
    outputMoments = plan.take(images, 2)
    branch = plan.take(all, width)
    hidden = plan.take(all, architecture.mlpDim)
    attentionScratch = plan.take(tokens, tokens)
    scratch =
      keeps
      ? ScratchWindows(
        stream: plan.take(all, width), classStream: plan.take(images, width), normed: plan.take(all, width),
        wide: plan.take(all, max(architecture.mlpDim, 3 * width))) : nil
  }
}
