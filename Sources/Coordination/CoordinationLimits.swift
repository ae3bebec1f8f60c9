import Messages

/// Every bound of the coordinator, in one place, each with its reason. What grows with peers, messages or time is
/// bounded by one of these, so that nobody can fill the coordinator's memory.
public enum CoordinationLimits {
  // MARK: Peers

  /// Workers at once. Each costs a heartbeat a second and a few hundred bytes; an update waits for none of them. They may
  /// all come from one address or have one key; where all places are taken, who comes from elsewhere gets one of a
  /// worker that has delivered nothing, until each origin has as many.
  public static let peers = 1024

  /// Bytes of a worker's name, of a reason, of an error from a peer: they end in logs and on screens.
  public static let textLength = WireLimits.shortText

  /// How often a worker says `ready` at least: four of them fit into `silence`.
  public static let heartbeat = Duration.seconds(1)

  /// A worker that was not heard for so long may be gone: others get its slices too. It may still answer first.
  public static let silence = Duration.seconds(5)

  /// A worker that was not heard for so long is forgotten, and must say hello again.
  public static let absence = Duration.seconds(30)

  /// Messages that cannot be read or are out of bounds, from one peer, before it is ignored. A version that differs
  /// by mistake sends one a second; the limit lets a person read the answer, and keeps the log short.
  public static let malformedMessages = 16

  /// How long such a peer is ignored, and how long a peer's bad messages are remembered.
  public static let ignored = Duration.seconds(60)

  /// Peers that are no workers and whose bad messages are remembered. More of them are not answered until some of these
  /// are forgotten: so nobody's count is lost to a crowd.
  public static let strangeOffenders = 1024

  /// All whose bad messages are remembered: those, and the workers. Above it, which takes a crowd of workers that are
  /// ignored and come again under other numbers, the one whose last bad message is the oldest is forgotten.
  public static let offenders = strangeOffenders + peers

  // MARK: Lines in the log that peers cause

  /// Of each kind one line in so long: a flood of a day adds 86,400 lines or 20 MB, a quarter of what the log keeps.
  public static let linePeriod = Duration.seconds(1)

  /// Of each kind so many lines at once: whoever starts some dozens of workers sees each.
  public static let linesAtOnce = 64

  /// A peer's next line of a kind, with the count of those between.
  public static let lineRepeat = Duration.seconds(60)

  /// Lines of a peer and kind that are remembered for that.
  public static let linesRemembered = 2 * peers

  /// How long lines are left out before it is said how many.
  public static let lineSummary = Duration.seconds(5)

  // MARK: Leases

  /// Open leases of a worker: one computed and one waiting for its push on each thread, and two on the way.
  public static func leases(threads: Int) -> Int { 2 * threads + 2 }

  /// Leases that a worker may list as held: its own limit, as many that were cancelled while it wrote, of which an
  /// evaluation takes one, and those whose gradients it keeps.
  public static func heldLeases(threads: Int, gradients: Int) -> Int { 2 * leases(threads: threads) + gradients }

  /// Copies of a slice that are computed at once by workers that are not overdue. The second is for a worker that
  /// is slow, the third for two of them; more would only load the machines.
  public static let attempts = 3

  /// A lease that its worker does not list is lost only after so long: before, the two messages may have crossed.
  public static let delivery = heartbeat * 2

  /// Above so many slices without a lease for each thread of all workers, a lease may be larger than the idle threads:
  /// fewer gradients cross the wire, and enough slices remain to even out the end of the step.
  public static let manySlices = 4

  /// Time given to a worker of which no pace is known: it pulls weights, pictures and memory first.
  public static let firstLease = Duration.seconds(120)

  /// A lease is overdue after so many times what its worker's pace promises...
  public static let patience = 4

  /// ... and this, for a stall of the disk or the network that has nothing to do with pace.
  public static let stall = Duration.seconds(2)

  /// An overdue lease is taken back after so many times its whole time: its worker hangs, though it sends heartbeats.
  public static let hanging = 4

  /// An idle worker gets a copy of slices leased for so long, when neither worker's pace is known.
  public static let firstHedge = Duration.seconds(10)

  // MARK: Results

  /// Payloads on their way at once: each needs a buffer of the size of the gradient. Two keep the wire busy while one
  /// is added to the tree; the others are for slow lines.
  public static let gradientsInFlight = 4

  /// Payloads without their gradients on their way at once: rows and statistics of a few slices each.
  public static let tailsInFlight = 64

  /// Gradients that the coordinator keeps until all slices of a reduced step are in: those of workers that cannot.
  public static let gradientsHeld = 8

  /// A step is reduced while one worker in so many at most cannot keep its gradients: more of them would wait for the end
  /// of the step.
  public static let strangersShare = 4

  /// After a step that began again for want of room no step is reduced for so long: it would cost each of them twice.
  public static let reductionPause = Duration.seconds(60)

  /// While gradients are added up, those of a worker that was not heard for so long are lost: two heartbeats, for all
  /// reducers wait for it.
  public static let keeperSilence = heartbeat * 2

  /// A reducer that sends no sum for so long, or for `patience` times as long as all that it takes in needs, is replaced.
  /// Longer than `keeperSilence`, for it may be another that it waits for.
  public static let sumSilence = Duration.milliseconds(2500)

  /// Between two looks at who is late with sums: not after each of them, for every look goes through the chunks.
  public static let reducerLook = Duration.milliseconds(100)

  /// How long a worker that was replaced adds nothing up.
  public static let reducerPause = Duration.seconds(30)

  /// A granted payload of which nothing arrived for so long gives its place away, whoever else may need it; where others
  /// do, `patience` times the usual is enough, and `stall`. A chunk of a mebibyte takes so long at a megabit a second.
  public static let pushSilence = Duration.seconds(10)

  /// Payloads in a row that a worker announced and did not deliver, before it is ignored for `ignored`. Between them it
  /// gets no lease for `returnPause`, then twice as long each time: some four minutes, in which a network may recover.
  public static let failures = 8

  /// Leases that a worker held for longer than it should need until others had answered them, and delivered nothing
  /// between, before what it holds keeps no slice from others. Once may be chance.
  public static let overtaken = 2

  /// How often each of the workers may give back the same slice before the run stops: what cannot be read by anyone
  /// three times in a row is not a passing fault.
  public static let returns = 3

  /// A worker does not get a slice that it gave back, or damaged, before this: the disk or the network may recover.
  public static let returnPause = Duration.seconds(2)

  /// A worker whose result was not finite does not get that slice again before this, for another one shall judge.
  public static let otherHost = Duration.seconds(60)

  /// Leases given back for pictures that do not decode that wait for the coordinator's own look; it takes milliseconds.
  public static let accusations = 64

  /// Pictures that do not decode or are lost, one in so many of the data set: above it the data set is not what was meant.
  public static let undecodableShare = 100

  /// Pictures that are named when the run stops for it.
  public static let undecodableNamed = 10

  /// Pictures that are named when the run stops for a slice that is not finite: a usual slice's, and a line of log.
  public static let notFiniteNamed = 64

  // MARK: Evaluations

  /// An evaluation that takes longer is given up: its worker may hang, and a later step waits. It takes what the worker's
  /// processor has to spare, which may be little.
  public static let evaluation = Duration.seconds(3600)

  /// How long the end of the run waits for evaluations. Nothing else computes then.
  public static let lastEvaluation = Duration.seconds(600)

  // MARK: Audits

  /// An answer waits so long for another to compare it with; then the coordinator computes the slices itself. Longer than
  /// most leases take, short enough for a worker that hangs.
  public static let audit = Duration.seconds(60)

  /// The same where the answer is not finite, for until it is known what is right nobody's counts; and at most where only
  /// workers that never answered anything have a lease to answer.
  public static let accusation = Duration.seconds(10)

  /// Answers about one node: three hosts that all differ are for the coordinator to judge.
  public static let answers = 3

  /// How often the coordinator may fail to compute a node that it is to judge before it gives up.
  public static let recomputations = 3

  /// Hosts with unaudited results that a run remembers, in each checkpoint's manifest.
  public static let hosts = 65_536

  // MARK: Weights from other workers

  /// Workers that a step's weights are fetched from. Everybody who fetches keeps a connection to each, which takes some
  /// seven descriptors of the thousand that a process has as a rule; where there are more hosts, these send on more.
  public static let weightSources = 64

  // MARK: Memory shards

  /// Extents that a shard pulls at once: enough to hide a round trip, few enough to leave the network to the steps.
  public static let extentsInFlight = 4

  /// Of those, extents that are pulled only so that shards are evenly full: those with too few copies find a place.
  public static let movesInFlight = 2

  /// A shard that is away for so long is not waited for: what it had is copied again from others. Its restart is cheaper.
  public static let shardReturn = Duration.seconds(30)

  /// A shard that did not answer at its address is asked again after this.
  public static let probePause = Duration.seconds(5)

  /// A shard whose disk is full is given nothing before this: somebody has to make room.
  public static let fullPause = Duration.seconds(30)

  /// The table of extents is written at most so often: it grows with the memory.
  public static let ledgerPause = Duration.seconds(1)

  /// How often people are told that rows or pictures cannot be had.
  public static let complaint = Duration.seconds(60)

  /// Shards may come so long after the coordinator's start before `--forget-lost-rows` forgets what they have.
  public static let forgetting = Duration.seconds(30)

  /// Peers that spoke for a shard, or were drained, that are remembered.
  public static let formerPeers = 64

  // MARK: Checkpoints

  /// At first checkpoints by time come closer together than they are asked for: a coordinator that dies young has lost
  /// no more than this...
  public static let firstCheckpoint = Duration.seconds(5)

  /// ... or one part in so many of what it has done. Each pause is a third longer than the one before, so that ten
  /// minutes between checkpoints are reached after some fifteen more of them than without.
  public static let checkpointShare = 4

  /// So many times what the last one took to write is the least pause: early ones take a twentieth of the disk's time.
  public static let checkpointCost = 20

  /// After a checkpoint that failed the next try waits: a full disk does not empty itself at once.
  public static let checkpointRetry = Duration.seconds(5)

  /// Tries at the last checkpoint when the coordinator is to leave: with the pauses between them they fit into the 30
  /// seconds that machines on short notice get.
  public static let lastCheckpointTries = 3

  /// How long the end of the run waits for workers and memory shards to say goodbye.
  public static let farewell = Duration.seconds(2)
}
