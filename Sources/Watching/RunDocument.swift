import Foundation
import Services
import Telemetry

/// What the page asks for again and again: all of a run but its history, as one JSON object.
///
/// `status` is the object of `massl status --json` and `record` a line of `metrics.jsonl`, to the digit.
struct RunDocument: Encodable {
  struct VerdictPart: Encodable {
    var state: String
    var text: String
    var isHealthy: Bool
  }

  struct Checkpoint: Encodable {
    var step: Int
    var unixSeconds: Double
  }

  /// Beyond which a figure is a sign of collapse.
  struct Limits: Encodable {
    /// In nats; nil before the block's size is known.
    var targetEntropy: Double?
    var embeddingSpread = CollapseWatch.leastSpread
    var chosenShare = CollapseWatch.leastChosenShare
  }

  var name: String
  var verdict: VerdictPart
  var notices: [String]
  var isHeard: Bool
  /// Since the coordinator was heard; nil where the status is a checkpoint's.
  var heardSeconds: Double?
  var sinceStepSeconds: Double?
  var usualStepSeconds: Double?
  var slicesWaiting: Int?
  var checkpoints: [Checkpoint]
  var limits: Limits
  var log: [String]

  init(
    name: String, run: Observation, checkpoints: [RunFiles.Checkpoint], log: [String], blockSize: Int?
  ) {
    self.name = name
    let verdict = Verdict(of: run)
    self.verdict = VerdictPart(state: verdict.state.rawValue, text: verdict.text, isHealthy: verdict.isHealthy)
    notices = run.notices
    isHeard = run.isHeard
    if case .coordinator(let heard) = run.source { heardSeconds = heard / .seconds(1) }
    sinceStepSeconds = run.isHeard ? run.sinceStep.map { $0 / .seconds(1) } : nil
    usualStepSeconds = run.usualStep.map { $0 / .seconds(1) }
    slicesWaiting = RunMetrics.slicesWaiting(run)
    self.checkpoints = checkpoints.map { Checkpoint(step: $0.step, unixSeconds: $0.unixSeconds) }
    limits = Limits(targetEntropy: blockSize.map { CollapseWatch.largestEntropy(blockSize: $0) })
    self.log = log
  }

  /// - Parameters:
  ///   - status: as JSON; put in as it is, for a number that is read and written again may change.
  ///   - record: likewise.
  func json(status: String?, record: String?) -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let own = (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    return "{\"run\":\(own),\"status\":\(status ?? "null"),\"record\":\(record ?? "null")}"
  }
}
