/// A slice's shares of the step's loss; the shares of all slices add up to the mean over the batch.
public struct SliceLoss: Hashable, Sendable {
  public var consistency: Double
  public var koleo: Double
  /// Mean entropy of the teacher's targets, in nats: how undecided they are.
  public var targetEntropy: Double

  public init(consistency: Double, koleo: Double, targetEntropy: Double) {
    self.consistency = consistency
    self.koleo = koleo
    self.targetEntropy = targetEntropy
  }

  public var total: Double { consistency + koleo }
}
