import TestSupport

/// How rough a simulated world is. Probabilities are for each message, or for each second.
struct Faults {
  var loss = 0.0
  var duplication = 0.0
  /// Late by up to `longestDelay`, so that others overtake it.
  var lateness = 0.0
  var longestDelay: UInt64 = 0
  var damage = 0.0
  var nonsense = 0.0
  var givingBack = 0.0
  var workerCrash = 0.0
  var workerStop = 0.0
  var workerHang = 0.0
  var partition = 0.0
  /// The coordinator hears that a worker's connection ended; the worker comes back over another.
  var disconnection = 0.0
  /// In each second, each update and each writing of a checkpoint.
  var coordinatorCrash = 0.0
  /// Of the coordinator's crashes, those that take the machine with them: what was not fsynced may be lost.
  var powerCut = 0.0
  var coordinatorStop = 0.0
  /// Of the coordinator's clock, forwards or backwards.
  var clockJump = 0.0
  /// A second coordinator wants the run directory.
  var rival = 0.0
  /// The disk is full when a checkpoint is written.
  var checkpointFailure = 0.0
  /// The disk is full in the middle of a step's rows.
  var rowFailure = 0.0
  /// The coordinator cannot read a picture any more.
  var pictureLoss = 0.0
  /// The coordinator loses its lock, another takes its place, and the old one goes on.
  var lostLock = 0.0
  /// The one that takes its place does so on a mount where locks do not lock: the old one's seems to hold.
  var locksNothing = false
  /// Share of the leases that are audited.
  var auditRate = 0.0
  /// Every worker but the first answers one in so many leases wrongly; 0: none does.
  var liesEvery = 0

  /// Every worker that may lie, as above, says of one in so many leases that it is not finite; 0: none does.
  var saysNotFiniteEvery = 0
  /// So many workers, after the first, announce at once whatever they are given, and never push it.
  var neverPushing = 0
  /// A crowd of strangers says hello, rightly or not.
  var helloFlood = 0.0

  // MARK: Memory shards

  /// In each second, for each shard; with `powerCut` its machine goes too.
  var shardCrash = 0.0
  var shardStop = 0.0
  var shardPartition = 0.0
  /// For a while copies take twenty times as long.
  var slowCopies = 0.0
  /// For a while its disk has no room, whatever it offers.
  var shardFullDisk = 0.0
  /// In each second: a disk is lost or an extent damaged, fewer in all than there are replicas.
  var shardDamage = 0.0
  var shardAddition = 0.0
  /// Somebody asks for a shard to be drained; half as often that one stays.
  var drain = 0.0
  /// At a start of the coordinator: the newest checkpoint is removed by hand.
  var checkpointLoss = 0.0

  static let none = Faults()

  /// Of the workers' own kind, and not of the world's: these stay when all others stop.
  var ofWorkers: Faults {
    var faults = Faults.none
    (faults.auditRate, faults.liesEvery) = (auditRate, liesEvery)
    (faults.saysNotFiniteEvery, faults.neverPushing) = (saysNotFiniteEvery, neverPushing)
    return faults
  }

  /// Each kind is off in half of the worlds, so that others run deep.
  static func drawn(from seed: UInt64) -> Faults {
    var random = SplitMix64(seed: seed ^ 0xFA17)
    func upTo(_ most: Double) -> Double {
      random.chance(0.5) ? 0 : most * Double(random.next(below: 1000)) / 1000
    }
    var faults = Faults()
    faults.loss = upTo(0.2)
    faults.duplication = upTo(0.3)
    faults.lateness = upTo(0.3)
    faults.longestDelay = 1 + random.next(below: 8_000_000_000)
    faults.damage = upTo(0.1)
    faults.nonsense = upTo(0.2)
    faults.givingBack = upTo(0.05)
    faults.workerCrash = upTo(0.1)
    faults.workerStop = upTo(0.1)
    faults.workerHang = upTo(0.05)
    faults.partition = upTo(0.1)
    faults.coordinatorCrash = upTo(0.1)
    faults.checkpointFailure = upTo(0.5)
    faults.powerCut = upTo(1)
    faults.coordinatorStop = upTo(0.1)
    faults.clockJump = upTo(0.1)
    faults.rival = upTo(0.2)
    faults.rowFailure = upTo(0.5)
    faults.lostLock = upTo(0.05)
    faults.locksNothing = random.chance(0.5)
    faults.disconnection = upTo(0.3)
    faults.auditRate = [0, 0.3, 1][Int(random.next(below: 3))]
    faults.saysNotFiniteEvery = random.chance(0.7) ? 0 : 1 + Int(random.next(below: 4))
    faults.neverPushing = random.chance(0.6) ? 0 : 1 + Int(random.next(below: 3))
    faults.helloFlood = upTo(0.2)
    return faults
  }

  /// Those, and what befalls memory shards.
  static func drawnWithShards(from seed: UInt64) -> Faults {
    var random = SplitMix64(seed: ~seed)
    func upTo(_ most: Double) -> Double {
      random.chance(0.6) ? most * Double(random.next(below: 1000)) / 1000 : 0
    }
    var faults = drawn(from: seed)
    faults.shardCrash = upTo(0.08)
    faults.shardStop = upTo(0.03)
    faults.shardPartition = upTo(0.06)
    faults.slowCopies = upTo(0.1)
    faults.shardFullDisk = upTo(0.05)
    faults.shardDamage = upTo(0.3)
    faults.shardAddition = upTo(0.15)
    faults.drain = upTo(0.2)
    faults.checkpointLoss = upTo(0.8)
    return faults
  }
}
