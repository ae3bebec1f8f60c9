// What a rehearsal comes to.

extension StepSimulation {
  /// What the steps that count came to, each a mean over them; bytes and buffers of machine 0, the coordinator, worker 1
  /// and shard 1.
  struct Outcome {
    var seconds = 0.0
    /// Of a worker, one after the other.
    var phases = Phases()
    var links: LinkModel
    /// A step's, of all workers together: results, and those of them whose gradients stayed with who computed them.
    var results = 0.0
    var kept = 0.0
    /// A step's, of the worker that has most.
    var leases = 0.0
    /// Shares of the time.
    var computing = 0.0
    var updating = 0.0
    /// The most that were held at once.
    var coordinatorGradients = 0
    var workerBuffers = 0
    /// Workers that gave weights to others; 0 if all came from the coordinator.
    var weightSources = 0
    /// Workers that added gradients up; 0 if the coordinator did.
    var reducers = 0
    var steps = 0
    /// Steps before those.
    var warmUp = 0
    /// What audits add to the time of a step, in the mean.
    var auditSeconds = 0.0

    /// - Parameters:
    ///   - audited: of the same steps with audited leases.
    ///   - share: how many of all steps are like those.
    mutating func addAudits(of audited: Outcome, share: Double) {
      auditSeconds = share * (audited.seconds - seconds)
      seconds += auditSeconds
      phases.move(by: share, towards: audited.phases)
      computing += share * (audited.computing - computing)
      updating += share * (audited.updating - updating)
    }
  }

  /// Where a step's time goes, as its slowest worker sees it.
  struct Phases: Sendable {
    /// Pulling weights and averaging the teacher.
    var weights = 0.0
    /// Waiting for rows.
    var rows = 0.0
    /// From the first slice to the last.
    var slices = 0.0
    /// From a worker's last slice to the last gradient's addition, or to the last result where gradients stay with the
    /// workers.
    var gradients = 0.0
    /// From the last result to the last sum; 0 where no gradient stays with the workers.
    var reduce = 0.0
    var update = 0.0

    private static var all: [WritableKeyPath<Phases, Double>] {
      [\.weights, \.rows, \.slices, \.gradients, \.reduce, \.update]
    }

    mutating func move(by share: Double, towards others: Phases) {
      for phase in Self.all { self[keyPath: phase] += share * (others[keyPath: phase] - self[keyPath: phase]) }
    }

    static func /= (phases: inout Phases, steps: Double) {
      for phase in all { phases[keyPath: phase] /= steps }
    }
  }
}
