/// The sizes and switches that decide which tensors a network has, and how they are used.
///
/// Widths are in floats, picture sides in pixels. A value of this type has been checked: heads divide the width,
/// patches divide the picture, nothing is empty.
public struct NetworkArchitecture: Sendable, Hashable {
  /// Side of the square pictures that the position embeddings are made for.
  public let imageSize: Int
  public let patchSize: Int
  public let embedDim: Int
  public let depth: Int
  public let numHeads: Int
  public let mlpRatio: Int
  public let headHiddenDim: Int
  public let bottleneckDim: Int
  public let useBNInHead: Bool
  public let useMeanPooling: Bool
  /// Learned tokens between the class token and the patches, in which blocks may keep what is of no one patch. They have
  /// no position, and are no part of the output. Source: Vision Transformers Need Registers (ICLR 2024).
  public let registers: Int
  /// What LayerScale's factors begin with: one a column of what a residual branch adds. 0: there are none.
  /// Source: Going Deeper with Image Transformers (ICCV 2021).
  public let layerScale: Float
  /// The last block's rate of stochastic depth, 0..<1.
  public let dropPathRate: Float

  /// - Throws: `NetworkError` if the numbers do not fit together.
  public init(
    imageSize: Int, patchSize: Int, embedDim: Int, depth: Int, numHeads: Int, mlpRatio: Int = 4,
    headHiddenDim: Int = 2048, bottleneckDim: Int = 256, useBNInHead: Bool = false, useMeanPooling: Bool = false,
    registers: Int = 0, layerScale: Float = 0, dropPathRate: Float = 0.1
  ) throws(NetworkError) {
    let sizes = [
      ("image_size", imageSize), ("patch_size", patchSize), ("embed_dim", embedDim), ("depth", depth),
      ("num_heads", numHeads), ("mlp_ratio", mlpRatio), ("head_hidden_dim", headHiddenDim),
      ("bottleneck_dim", bottleneckDim),
    ]
    for (key, value) in sizes where value < 1 { throw NetworkError.notPositive(key: key, value: value) }
    guard embedDim % numHeads == 0 else { throw NetworkError.unevenHeads(embedDim: embedDim, numHeads: numHeads) }
    guard imageSize % patchSize == 0 else { throw NetworkError.unevenPatches(side: imageSize, patchSize: patchSize) }
    guard registers >= 0 else { throw NetworkError.registers(registers) }
    guard layerScale >= 0 && layerScale.isFinite else { throw NetworkError.layerScale(layerScale) }
    guard dropPathRate >= 0 && dropPathRate < 1 else { throw NetworkError.dropPathRate(dropPathRate) }
    self.imageSize = imageSize
    self.patchSize = patchSize
    self.embedDim = embedDim
    self.depth = depth
    self.numHeads = numHeads
    self.mlpRatio = mlpRatio
    self.headHiddenDim = headHiddenDim
    self.bottleneckDim = bottleneckDim
    self.useBNInHead = useBNInHead
    self.useMeanPooling = useMeanPooling
    self.registers = registers
    self.layerScale = layerScale
    self.dropPathRate = dropPathRate
  }
}

// MARK: - What follows from the sizes

extension NetworkArchitecture {
  /// Patches along a side of the trained size.
  public var trainedSide: Int { imageSize / patchSize }

  /// Floats in a patch: 3 channels.
  public var patchFloats: Int { 3 * patchSize * patchSize }

  public var mlpDim: Int { mlpRatio * embedDim }

  /// Tokens before the patches: the class token, then the registers.
  public var leadingTokens: Int { 1 + registers }

  /// Tokens of a picture of `side` pixels: the class token, the registers, then its patches row by row.
  public func tokens(side: Int) -> Int { leadingTokens + (side / patchSize) * (side / patchSize) }

  /// Whether each residual branch's result is multiplied with factors of its own.
  public var hasLayerScale: Bool { layerScale > 0 }

  /// The rate at which both residual branches of a block are dropped: linear from 0 at block 0.
  public func dropPathRate(block: Int) -> Float {
    depth == 1 ? 0 : dropPathRate * Float(block) / Float(depth - 1)
  }

  /// Whether only the class token leaves this block, so that no other token goes past its keys and values.
  func isCutShort(block: Int) -> Bool { block == depth - 1 && !useMeanPooling }

  /// - Throws: `NetworkError` if pictures of `side` pixels cannot be cut in whole patches.
  public func checkSide(_ side: Int) throws(NetworkError) {
    guard side >= patchSize && side % patchSize == 0 else {
      throw NetworkError.unevenPatches(side: side, patchSize: patchSize)
    }
  }
}
