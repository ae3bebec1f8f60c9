import Telemetry

/// What is known of a step once its update is done.
public struct StepReport: Sendable {
  /// As `metrics.jsonl` has it; its `step` counts this one as done.
  public var record: MetricsRecord
  /// Parts of the loss.
  public var consistency: Double
  public var koleo: Double
  /// Mean entropy of the teacher's targets, in nats.
  public var targetEntropy: Double
  /// From the end of the update before to the end of this one.
  public var seconds: Double
}
