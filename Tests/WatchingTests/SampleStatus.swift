import Services

/// A status of a run as a coordinator says it.
func status(
  step: Int = 500, lastStep: Int = 1000, phase: String = "computing", rows: Int = 4096, workers: String = worker(),
  warning: String? = nil, judgedAfter: Int = 288, imagesPerSecond: String = "400.5", more: String = "",
  evaluation: String = ""
) throws -> RunStatus {
  let warning = warning.map { "\"\($0)\"" } ?? "null"
  let counts = [
    "accepted", "duplicates", "late", "expired", "lost", "returned", "damaged", "undelivered", "lost_gradients",
    "saved_gradients",
    "sums_taken_over", "not_finite", "refusals", "malformed", "absent", "other_class", "failed_checkpoints", "audited",
    "judged", "wrong", "rows_cached", "rows_fetched", "row_wait_seconds",
  ].map { "\"\($0)\":0" }.joined(separator: ",")
  struct Unreadable: Error {}
  guard
    let status = RunStatus(
      json: """
        {"step":\(step),"last_step":\(lastStep),"phase":"\(phase)","incarnation":3,"slices":8,"accepted_slices":2,
        "durable_step":480,"checkpoint_in_flight":null,"workers":[\(workers)],"weight_sources":0,"reducers":0,
        "undecodable_pictures":0,"lost_pictures":0,"counts":{\(counts)},"quarantined":[],"memory_shards":null,
        "run":"ab12","compute_class":"avx2","probe":null,"epoch":3,"epochs":10,"loss":4.125,"lr":0.001,
        "target_entropy":3.5,"embedding_spread":0.5,"chosen_share":0.875,"rows_cached":10,"rows_fetched":2,
        "row_wait_seconds":0.25,"weights_seconds":0.125,"reduce_seconds":null,"update_seconds":0.0625,"warning":\(warning),
        "collapse_judged_after_step":\(judgedAfter),
        \(evaluation)"images_per_second":\(imagesPerSecond),"seconds_left":3600.0,"memory":{"size":4096,"rows":\(rows)},
        "digests":{"student":"a","teacher":"b","memory":"c"}}
        """)
  else { throw Unreadable() }
  return status
}

/// A worker of two threads, one of which has work.
func worker(
  name: String = "lab7/11", heard: Double = 0.5, isConnected: Bool = true, idle: Int = 1, leases: Int = 1
) -> String {
  """
  {"fingerprint":"f00d","name":"\(name)","host":"lab7","threads":2,"idle_threads":\(idle),"leases":\(leases),
  "slices_per_second":1.5,"accepted_slices":40,"audits_passed":0,"is_other_class":false,"undelivered":0,"seconds_since_heard":\(heard),
  "is_connected":\(isConnected),"address":null,"is_reached":false,"kept_gradients":0}
  """
}
