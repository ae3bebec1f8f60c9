import Coordination
import Numerics
import Wire

/// The process around the real state machine, and its disk.
struct SimulatedCoordinator {
  /// What outlives a crash.
  struct Disk {
    var incarnation: UInt64 = 0
    /// By step, the checkpoints that are durable.
    var checkpoints: [Int: Updated] = [:]
  }

  var disk = Disk()
  /// The newest checkpoint that was ever reported durable.
  var reportedDurable = -1
  var life = 0
  /// Nil while it is down.
  var machine: Coordinator?
  var version: Updated
  /// Payloads that were granted, by lease.
  var expected: [LeaseID: Finished] = [:]
  /// Of this step: payloads that were granted and came.
  var arrived: [LeaseID: Finished] = [:]
  var sum: TreeSum<Digest>
  var acceptedSlices: Set<Int> = []
  var isUpdating = false
  var writing: Updated?
  var stopped: StopReason?
}
