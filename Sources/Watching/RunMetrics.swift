import Coordination
import Printing
import Services
import Telemetry

/// A run as Prometheus reads it: `/metrics`. What is not known is left out.
package enum RunMetrics {
  package static func text(_ run: Observation, _ verdict: Verdict) -> String {
    var text = PrometheusText()
    text.gauge("massl_up", "Whether the run's coordinator is heard.", run.isHeard ? 1 : 0)
    text.gauge("massl_healthy", "Whether the run needs nobody: as /healthz answers.", verdict.isHealthy ? 1 : 0)
    text.gauge(
      "massl_verdict", "1 for what the page says of the run, 0 for the rest.",
      Verdict.State.allCases.map { ([("state", $0.rawValue)], $0 == verdict.state ? 1 : 0) })
    guard let status = run.status else { return text.text }
    addProgress(status, run, &text)
    addStep(run.record, &text)
    addCoordination(status.coordination, &text)
    text.gauge("massl_slices_waiting", "Slices of the step at which no thread is at work.", slicesWaiting(run))
    // Of workers that nobody hears nothing is known.
    if run.isHeard { addWorkers(of: status.coordination, &text) }
    return text.text
  }

  /// Slices of the step at which no thread is at work: what more workers would take at once. Nil where nobody knows.
  static func slicesWaiting(_ run: Observation) -> Int? {
    guard let now = run.status?.coordination else { return nil }
    if now.step >= now.lastStep { return 0 }
    guard run.isHeard else { return nil }
    guard now.phase == "computing" else { return 0 }
    let busy = now.connectedWorkers.reduce(0) { $0 + max(0, $1.threads - $1.idleThreads) }
    return max(0, now.slices - now.acceptedSlices - busy)
  }

  private static func addProgress(_ status: RunStatus, _ run: Observation, _ text: inout PrometheusText) {
    let now = status.coordination
    text.gauge(
      "massl_run_info", "The run and its compute class, as labels.",
      [([("run", status.run), ("compute_class", status.computeClass)], 1)])
    text.gauge("massl_step", "Steps done.", now.step)
    text.gauge("massl_last_step", "Steps at the run's end.", now.lastStep)
    text.gauge("massl_epoch", "The epoch that is running, from 1.", status.epoch)
    text.gauge("massl_incarnation", "Starts and rollbacks of the run's coordinator.", Double(now.incarnation))
    text.gauge("massl_images_per_second", "Pictures a second of late.", run.isHeard ? status.imagesPerSecond : nil)
    text.gauge("massl_time_left_seconds", "Until the run's end at that rate.", run.isHeard ? status.secondsLeft : nil)
    text.gauge("massl_collapse_warning", "Whether the run seems to collapse.", status.warning == nil ? 0 : 1)
    addEvaluation(status.evaluation, &text)
    text.gauge("massl_memory_rows", "Memory rows enqueued since the run began.", status.memory.rows)
    text.gauge("massl_memory_capacity_rows", "Rows that the memory has room for.", status.memory.size)
  }

  private static func addEvaluation(_ evaluation: EvaluationRecord?, _ text: inout PrometheusText) {
    guard let evaluation else { return }
    text.gauge("massl_evaluation_step", "Step whose features were evaluated last.", evaluation.step)
    text.gauge("massl_rank_me", "Directions in which those features differ: 1 a collapse.", evaluation.rankMe)
    text.gauge("massl_lidar", "Those in which pictures differ more than views of one do.", evaluation.lidar)
    text.gauge("massl_alpha_req", "Exponent of the features' spectrum.", evaluation.alphaReQ)
    text.gauge("massl_knn_accuracy_ratio", "Leave-one-out k-NN of the sample, by its classes.", evaluation.knn)
  }

  private static func addStep(_ record: MetricsRecord?, _ text: inout PrometheusText) {
    guard let record else { return }
    text.gauge("massl_last_step_timestamp_seconds", "When the newest step was done.", record.unixSeconds)
    text.gauge("massl_loss", "Loss of the newest step: its consistency and KoLeo parts.", finite(record.loss))
    text.gauge("massl_consistency_loss", "Cross-entropy of teacher and student, in nats.", finite(record.consistency))
    text.gauge("massl_koleo_loss", "KoLeo's part, its weight included.", finite(record.koleo))
    text.gauge("massl_learning_rate", "Learning rate of the newest step.", record.lr)
    text.gauge("massl_gradient_norm", "Norm of the gradient before clipping.", finite(record.gradientNorm))
    text.gauge("massl_target_entropy_nats", "Mean entropy of the teacher's targets.", finite(record.targetEntropy))
    text.gauge("massl_embedding_spread", "Spread of the step's new rows: 1 even, 0 all alike.", record.embeddingSpread)
    text.gauge("massl_chosen_share_ratio", "Share of the memory's rows that were ever chosen.", record.chosenShare)
    text.gauge("massl_row_wait_seconds", "The longest wait for rows in the newest step.", record.rowWaitSeconds)
    text.gauge("massl_weights_seconds", "The longest wait for weights in the newest step.", record.weightsSeconds)
    text.gauge("massl_reduce_seconds", "Adding up the newest step's gradients.", record.reduceSeconds)
    text.gauge("massl_update_seconds", "From the last gradient to the new weights.", record.updateSeconds)
  }

  private static func addCoordination(_ now: Status, _ text: inout PrometheusText) {
    text.gauge("massl_slices", "Slices of a step.", now.slices)
    text.gauge("massl_checkpoint_step", "Step of the newest durable checkpoint.", now.durableStep)
    text.gauge("massl_quarantined_hosts", "Hosts that computed wrongly and are shut out.", now.quarantined.count)
    text.gauge("massl_lost_pictures", "Pictures that can no longer be read.", now.lostPictures)
    text.gauge("massl_undecodable_pictures", "Pictures that do not decode.", now.undecodablePictures)
    let counts = now.counts
    text.counter("massl_leases_accepted_total", "Leases whose results count.", counts.accepted)
    text.counter("massl_leases_expired_total", "Leases that were overdue.", counts.expired)
    text.counter("massl_payloads_undelivered_total", "Payloads announced that did not come.", counts.undelivered)
    text.counter("massl_audits_total", "Leases whose answers were compared.", counts.audited)
    text.counter("massl_wrong_answers_total", "Answers found wrong by audits.", counts.wrong)
    text.counter("massl_messages_refused_total", "Messages that were refused.", counts.refusals)
    text.counter("massl_messages_malformed_total", "Messages that could not be read.", counts.malformed)
    text.counter("massl_checkpoints_failed_total", "Checkpoints that could not be written.", counts.failedCheckpoints)
    text.counter("massl_rows_cached_total", "Memory rows that workers had in their caches.", counts.rowsCached)
    text.counter("massl_rows_fetched_total", "Memory rows that workers fetched.", counts.rowsFetched)
    guard let shards = now.memoryShards else { return }
    text.gauge(
      "massl_memory_shards", "Memory shards by their state.",
      ["present", "draining", "away"].map { state in
        ([("state", state)], Double(shards.shards.count { $0.state == state }))
      })
    text.gauge("massl_extents", "Whole extents of the memory that are needed.", shards.extents)
    text.gauge("massl_extent_copies_missing", "Copies of extents that are still to be made.", shards.copiesToMake)
  }

  private static func addWorkers(of status: Status, _ text: inout PrometheusText) {
    let connected = status.connectedWorkers
    text.gauge("massl_workers", "Workers connected.", connected.count)
    text.gauge("massl_worker_threads", "Computing threads of all of them.", connected.reduce(0) { $0 + $1.threads })
    text.gauge(
      "massl_worker_idle_threads", "Those threads without work.", connected.reduce(0) { $0 + $1.idleThreads })
    func each(_ value: (Status.Worker) -> Double?) -> [(labels: [(String, String)], value: Double?)] {
      status.workers.map { ([("worker", $0.fingerprint), ("name", $0.name.printable)], value($0)) }
    }
    text.gauge("massl_worker_slices_per_second", "Slices a second that a worker computes.", each { $0.slicesPerSecond })
    text.gauge("massl_worker_leases", "Leases that a worker holds.", each { Double($0.leases) })
    text.gauge(
      "massl_worker_audits_passed", "Answers of a worker that were compared, and are right.",
      each { Double($0.auditsPassed) })
    text.gauge(
      "massl_worker_other_class", "1 for a worker of another compute class than the run's.",
      each { $0.isOtherClass ? 1 : 0 })
    text.gauge("massl_worker_silence_seconds", "Since a worker was heard.", each { $0.secondsSinceHeard })
  }

  private static func finite(_ value: Double) -> Double? { value.isFinite ? value : nil }
}
