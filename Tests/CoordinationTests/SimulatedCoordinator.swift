import Coordination
import Messages
import Numerics
import Slices

/// The process around the real state machine, and its disk.
struct SimulatedCoordinator {
  var disk: SimulatedDisk
  /// Counts the processes: what was scheduled for one is void for the others.
  var life = 0
  /// Another may have its run directory: whatever it does must not count.
  var hasLostLock = false
  /// Nil while it is down.
  var machine: Coordinator?
  var version: VersionIdentity
  /// Of the rows that were enqueued before it.
  var memory: Digest
  /// The floats of all rows that were enqueued before it.
  var course: [Float] = []
  /// The version before, once there was an update.
  var previous: VersionIdentity?
  /// SIGSTOP until then.
  var stoppedUntil: UInt64 = 0
  /// Its clock is so far ahead of the simulation's.
  var clock: UInt64 = 0
  /// The newest time that its machine was given: while a clock that was set back has not come there again, none passes for it.
  var newest = Instant(nanoseconds: 0)
  /// Payloads that were granted, by lease.
  var expected: [LeaseID: Finished] = [:]
  /// Of this step: payloads that were granted and came.
  var arrived: [LeaseID: Finished] = [:]
  var sum: TreeSum<Digest>
  var acceptedSlices: Set<Int> = []
  /// Leases that were granted without their gradients.
  var keeping: Set<LeaseID> = []
  var reduction = SimulatedReduction()
  var isUpdating = false
  /// How often a step began again.
  var restarts = 0
  var writing: SimulatedDisk.Saved?
  var exchange = SimulatedExchange()
  /// What its thread for extents is to do, in this order.
  var extentWork: [SimulatedDisk.ExtentWork] = []
  var stopped: StopReason?
}
