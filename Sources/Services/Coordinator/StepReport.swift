import Telemetry

/// What is known of a step once its update is done.
public struct StepReport: Sendable {
  /// As `metrics.jsonl` has it; its `step` counts this one as done.
  public var record: MetricsRecord
  /// From the end of the update before to the end of this one.
  public var seconds: Double
}
