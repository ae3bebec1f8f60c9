import Durability
import Runs
import Services
import Telemetry

/// A run that no process keeps going.
struct RestingRun {
  /// Where it stands, and how it goes on, in sentences.
  let words: String

  init(_ run: String) {
    guard let status = try? RunStatus(ofStoppedRunAt: run, in: FileStorage()) else {
      words = "it has no checkpoint yet. The same command begins it anew."
      return
    }
    let coordination = status.coordination
    let newest = MetricsRecord.newest(inFile: "\(run)/metrics.jsonl")?.step ?? 0
    let lost =
      newest > coordination.step
      ? " Step \(coordination.step + 1) to \(newest) came after its newest checkpoint, and are computed again." : ""
    words =
      coordination.step >= coordination.lastStep
      ? "it is done, at step \(coordination.step)."
      : "it rests at step \(coordination.step) of \(coordination.lastStep).\(lost) The same command goes on."
  }
}
