/// Floating-point operations that the published network needs, counted in full: a multiplication and an addition are two.
///
/// What an implementation finds a way not to compute is counted too, so that the figure divided by the time compares
/// implementations. Norms, GELU and softmax are not counted: next to the products they are nothing.
extension NetworkArchitecture {
  /// One forward pass of the backbone over one picture.
  public func backboneOperations(side: Int) -> Double {
    let (n, d) = (Double(tokens(side: side)), Double(embedDim))
    let attention = 2 * n * d * (3 * d) + 2 * (2 * n * n * d) + 2 * n * d * d
    let mlp = 2 * (2 * n * d * Double(mlpDim))
    let patches = 2 * (n - Double(leadingTokens)) * Double(patchFloats) * d
    return Double(depth) * (attention + mlp) + patches
  }

  /// One forward pass of the head over one picture's features.
  public var headOperations: Double {
    let (d, hidden, width) = (Double(embedDim), Double(headHiddenDim), Double(bottleneckDim))
    return 2 * (d * hidden + hidden * hidden + hidden * width)
  }
}
