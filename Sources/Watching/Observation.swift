import Services
import Telemetry

/// All that is known of a run at one moment.
public struct Observation: Sendable {
  /// Where a status is from.
  public enum Source: Sendable, Equatable {
    /// The coordinator, which said so this long ago.
    case coordinator(heard: Duration)
    /// The newest checkpoint: nobody coordinates the run, or nobody was heard since the page began.
    case checkpoint
  }

  /// Nil for a run that has neither a coordinator nor a checkpoint yet.
  public var status: RunStatus?
  public var source: Source
  /// Whether the run directory names a coordinator, which a run that ended in order does not.
  public var isCoordinated: Bool
  /// Since the step's number changed; nil before that is known.
  public var sinceStep: Duration?
  /// Half of the last steps took longer.
  public var usualStep: Duration?
  /// The newest record of `metrics.jsonl`; nil if there is none.
  public var record: MetricsRecord?
  /// Why the coordinator was not heard, where the connection says so.
  public var problem: String?

  public init(
    status: RunStatus?, source: Source, isCoordinated: Bool, sinceStep: Duration? = nil, usualStep: Duration? = nil,
    record: MetricsRecord? = nil, problem: String? = nil
  ) {
    self.status = status
    self.source = source
    self.isCoordinated = isCoordinated
    self.sinceStep = sinceStep
    self.usualStep = usualStep
    self.record = record
    self.problem = problem
  }

  /// A coordinator that computes and sends may take seconds to answer.
  static let silence = Duration.seconds(10)

  /// Whether what `status` says is of now.
  public var isHeard: Bool {
    if case .coordinator(let heard) = source, status != nil { heard < Self.silence } else { false }
  }
}
