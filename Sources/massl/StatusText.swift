import Coordination
import Foundation
import Printing
import Runs
import Services
import Telemetry
import Watching

/// A run's status as people read it.
enum StatusText {
  static func render(_ status: RunStatus) -> String {
    let run = status.coordination
    var rows = [
      ("run", "\(status.run), incarnation \(run.incarnation), \(run.phase)"),
      ("progress", ProgressLine.render(ProgressState(status), width: .max)),
      ("checkpoint", run.durableStep.map { "step \($0)" } ?? "none yet"),
      ("memory", "\(min(status.memory.rows, status.memory.size)) of \(status.memory.size) rows filled"),
      ("student", status.digests.student), ("teacher", status.digests.teacher),
      ("rows", status.digests.memory),
    ]
    if let shards = run.memoryShards, !shards.shards.isEmpty {
      let away = shards.shards.count { $0.state == "away" }
      rows.append(
        (
          "shards",
          "\(shards.shards.count - away) present, \(away) away; \(shards.extents) extents, \(shards.localExtents) with "
            + "the coordinator, \(shards.copiesToMake) to copy, \(shards.movesToMake) to move"
        ))
      if let waiting = shards.waiting { rows.append(("waiting", waiting)) }
    }
    if let entropy = status.targetEntropy, let spread = status.embeddingSpread {
      let chosen = status.chosenShare.map { String(format: ", %.3f of rows chosen", $0) } ?? ""
      rows.append(("embeddings", String(format: "spread %.3f, target entropy %.3f", spread, entropy) + chosen))
    }
    if let evaluation = status.evaluation {
      rows.append(("features", "\(evaluation.words), of step \(evaluation.step)"))
    }
    if let cached = status.rowsCached, let fetched = status.rowsFetched, cached + fetched > 0 {
      let wait = status.rowWaitSeconds.map { String(format: ", waited for %.3f s", $0) } ?? ""
      rows.append(
        (
          "step's rows",
          "\(fetched) fetched, \(cached) cached (\(String(format: "%.1f", 100 * Double(cached) / Double(cached + fetched))) %)\(wait)"
        ))
    }
    if let seconds = status.weightsSeconds {
      let sources = run.weightSources > 0 ? "\(run.weightSources) workers" : "the coordinator"
      rows.append(("weights", String(format: "came in %.3f s, from ", seconds) + sources))
    }
    if let seconds = status.reduceSeconds {
      let whom = run.reducers > 0 ? "\(run.reducers) workers" : "the coordinator"
      rows.append(("gradients", String(format: "added up in %.3f s, by ", seconds) + whom))
    }
    if let warning = status.warning { rows.append(("warning", warning)) }
    if run.undecodablePictures > 0 { rows.append(("undecodable", "\(run.undecodablePictures) pictures replaced")) }
    if run.lostPictures > 0 {
      rows.append(
        (
          "lost",
          "\(run.lostPictures) \(run.lostPictures == 1 ? "picture" : "pictures") replaced, for they cannot be read any more"
        ))
    }
    for host in run.quarantined {
      rows.append(("quarantine", Self.render(host)))
    }
    for worker in run.workers {
      let rate = worker.slicesPerSecond.map { String(format: "%.2f slices/s", $0) } ?? "no slice yet"
      rows.append(
        (
          "worker",
          "\(worker.name)\(worker.name.hasPrefix(worker.host) ? "" : " of \(worker.host)") (\(worker.fingerprint)): "
            + "\(worker.threads) threads, \(worker.idleThreads) idle, \(worker.leases) leases, \(rate), "
            + worker.heardWords
            + (run.weightSources > 0 && !worker.isReached ? ", gives no weights" : "")
            + (worker.isOtherClass ? ", of another compute class" : "")
            + (worker.auditsPassed > 0 ? ", \(worker.auditsPassed) audits passed" : "")
            + (worker.undelivered > 0 ? ", \(worker.undelivered) payloads not delivered" : "")
        ))
    }
    return rows.map { $0.0.padding(toLength: 12, withPad: " ", startingAt: 0) + $0.1.printable }.joined(separator: "\n")
  }

  private static func render(_ host: QuarantinedHost) -> String {
    let suspect = host.suspectSteps.map { "; steps \($0[0]) to \($0[1]) are suspect" } ?? ""
    return
      "host '\(host.host)': '\(host.worker)' computed step \(host.step) from slice \(host.firstSlice) on wrongly\(suspect)"
  }
}

extension ProgressState {
  /// As a coordinator, or a checkpoint, has it.
  init(_ status: RunStatus) {
    let run = status.coordination
    self.init(
      step: run.step, lastStep: run.lastStep, epoch: status.epoch, epochs: Int(status.epochs.rounded(.up)),
      loss: status.loss, lr: status.lr,
      imagesPerSecond: status.imagesPerSecond, secondsLeft: status.secondsLeft, workers: run.workers.count,
      memoryFilled: min(1, Double(status.memory.rows) / Double(max(1, status.memory.size))))
  }
}
