import Numerics

extension BackboneWorkspace {
  /// What the last block attended to, in an image of the last `forward`: its probabilities, head by head.
  ///
  /// Nothing is computed or kept for it: they are what `backward` needs anyway, before it has begun.
  /// - Parameter image: its place among those that `forward` was given.
  /// - Returns: `[heads · Q, T]`, rows of sum 1 over the class token, the registers and the patches, row by row of the
  ///   picture. Q is 1, the class token's query; with mean pooling it is T, for all tokens leave the block.
  /// - Precondition: the workspace keeps activations, its precision is fp32, and no branch was dropped.
  public func lastAttention(ofImage image: Int) -> Matrix {
    invariant(keepsActivations && draw == nil, "attention that nobody kept")
    guard let tile = tiles.first(where: { $0.images.contains(image) }) else {
      fatalError("image \(image) of \(images)")
    }
    let block = architecture.depth - 1
    let queries = architecture.isCutShort(block: block) ? 1 : tokens
    let first = (image - tile.images.lowerBound) * architecture.numHeads * queries
    let kept = activations(block: block, of: tile, queries: queries).probabilities
    guard let probabilities = kept.rows(first..<first + architecture.numHeads * queries).floats else {
      fatalError("attention in bf16")
    }
    return probabilities
  }
}
