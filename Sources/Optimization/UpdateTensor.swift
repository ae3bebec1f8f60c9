/// One parameter tensor as the optimizer sees it: a range of the flat buffer, clipped on its own.
public struct UpdateTensor: Sendable, Hashable {
  public let range: Range<Int>
  /// Whether weight decay, and LARS's trust ratio, apply: not for biases and other 1-D tensors.
  public let decays: Bool

  public init(range: Range<Int>, decays: Bool) {
    self.range = range
    self.decays = decays
  }
}
