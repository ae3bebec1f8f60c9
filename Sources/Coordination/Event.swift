import Messages
import Numerics
import Slices

/// Nanoseconds of a monotonic clock that the process around the state machine reads.
public struct Instant: Hashable, Comparable, Sendable {
  public let nanoseconds: UInt64
  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
  /// Since the clock's own beginning.
  var sinceStart: Duration { .nanoseconds(Int64(clamping: nanoseconds)) }
  public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

  /// `duration` later, at most the end of time; a negative duration is none.
  public static func + (left: Instant, duration: Duration) -> Instant {
    let (seconds, attoseconds) = duration.components
    guard seconds >= 0, attoseconds >= 0 else { return left }
    let (whole, tooLong) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (span, longer) = whole.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
    let (sum, late) = left.nanoseconds.addingReportingOverflow(span)
    return Instant(nanoseconds: tooLong || longer || late ? .max : sum)
  }

  /// How long ago `earlier` was; nothing when it lies ahead.
  public static func - (left: Instant, earlier: Instant) -> Duration {
    guard left > earlier else { return .zero }
    return .nanoseconds(Int64(clamping: left.nanoseconds - earlier.nanoseconds))
  }
}

/// What happens to a coordinator.
public enum Event: Hashable, Sendable {
  /// A peer said something on the control socket; `sender` is as the peer claims, the socket has checked its routing id.
  case message(WorkerMessage, from: Sender, origin: Origin = .thisMachine)
  /// The connection that a peer last spoke over ended. It may come back over another one; what it said before may still
  /// come, and this again after it.
  case disconnected(PeerID)
  /// A memory shard said something on the control socket.
  case shardMessage(ShardMessage, from: Sender)
  /// The last row of an extent was appended to the coordinator's own file.
  case extentSealed(ExtentIdentity)
  /// Which rows kept checkpoints need: none below `from`; each of them has those below `settled`.
  case rowsNeeded(from: Int, settled: Int)
  /// The ledger with this number is durable, or could not be written for this reason.
  case ledgerWritten(number: UInt64, failure: String?)
  /// An extent is in a file of the coordinator's own, durable, or could not be fetched for this reason.
  case extentFetched(Int, failure: String?)
  /// Somebody answered at this address, or nobody did for this reason.
  case probed(BulkAddress, failure: String?)
  /// Bytes came that are no message, or count for nothing; from nobody if they cannot be held against a peer.
  case malformed(from: PeerID?, reason: String)
  /// Some of a granted lease's payload has arrived; at least once a second while chunks come.
  case pushProgressed(LeaseID)
  /// The last float of a granted lease's payload has arrived.
  case pushArrived(LeaseID, PushOutcome)
  /// The update of the running step is done: these are the next step's weights and memory. `isHashed`: workers may fetch
  /// the student from each other.
  case updateFinished(VersionIdentity, isHashed: Bool = false)
  /// A checkpoint of this step is durable, or failed for this reason.
  case checkpointFinished(step: Int, failure: String?)
  /// The sum of a chunk has arrived.
  case sumArrived(ArrivedSum)
  /// The coordinator itself cannot have, or use, a gradient that a worker keeps.
  case gradientUnavailable(UnavailableGradient)
  /// What the coordinator's own computing says about a node that it was to judge; the lease means nothing. With the
  /// node's slices whose loss, gradient or rows are not finite: all of them if only their sum is not.
  case recomputed(Finished, notFinite: [Int] = [])
  /// It could not be computed.
  case recomputationFailed(step: Int, SliceRange, reason: String)
  /// A picture that was to be looked at, or why it could not be.
  case pictureExamined(Int, PictureVerdict)
  /// The coordinator tried to read these pictures, and cannot any more, though others of the data set are there. `isMet`:
  /// a slice of the running step needs one of them.
  case picturesLost([Int], reason: String, isMet: Bool)
  /// Time passes; at least every 100 ms.
  case tick
  /// SIGTERM, SIGINT: finish with a last checkpoint.
  case stopRequested
}

/// What the process found when a payload was complete.
public enum PushOutcome: Hashable, Sendable {
  /// It has the digest that was announced, and every float is finite.
  case whole
  /// Its digest is another one.
  case damaged
  /// It has its digest, but holds a float that is not finite.
  case notFinite
}

/// The sum of a chunk over all of a step's gradients.
public struct ArrivedSum: Hashable, Sendable {
  /// The `Reduction`'s number.
  public var deal: UInt64
  public var chunk: Int
  /// Who added it up; nil: the coordinator itself.
  public var peer: PeerID?
  public var isFinite: Bool
  /// Of its bytes, if it is to be compared.
  public var hash: ContentHash?

  public init(deal: UInt64, chunk: Int, peer: PeerID?, isFinite: Bool, hash: ContentHash?) {
    self.deal = deal
    self.chunk = chunk
    self.peer = peer
    self.isFinite = isFinite
    self.hash = hash
  }
}

/// Who may send which sums.
public struct ExpectedSums: Hashable, Sendable {
  public var step: Int
  /// The `Reduction`'s number.
  public var deal: UInt64
  /// The coordinator itself may give any.
  public var chunks: [PeerID: [Int]]
  /// Chunks whose sums need a hash.
  public var compared: Set<Int>

  public init(step: Int, deal: UInt64, chunks: [PeerID: [Int]], compared: Set<Int>) {
    self.step = step
    self.deal = deal
    self.chunks = chunks
    self.compared = compared
  }
}

/// A gradient that a worker keeps and the coordinator cannot add.
public struct UnavailableGradient: Hashable, Sendable {
  public enum Problem: Hashable, Sendable {
    /// It does not come, or not as it was announced.
    case notGiven(reason: String)
    /// It has the hash that was announced, and a float that is not finite.
    case notFinite
  }
  /// The `Reduction`'s number.
  public var deal: UInt64
  public var slices: SliceRange
  public var problem: Problem

  public init(deal: UInt64, slices: SliceRange, problem: Problem) {
    self.deal = deal
    self.slices = slices
    self.problem = problem
  }
}

/// A version of weights and memory: what the leases of one step are computed with.
public struct VersionIdentity: Hashable, Sendable {
  /// The step that these weights are for, one above the one that was updated; 0 for those of a new run.
  public var step: Int
  public var student: Digest
  public var teacher: Digest
  /// Rows enqueued so far.
  public var rows: Int
  /// Rows below this are seeded, not stored.
  public var memoryFloor: Int

  public init(step: Int, student: Digest, teacher: Digest, rows: Int, memoryFloor: Int) {
    self.step = step
    self.student = student
    self.teacher = teacher
    self.rows = rows
    self.memoryFloor = memoryFloor
  }
}

/// What a coordinator does about it, in order.
public enum Effect: Hashable, Sendable {
  case send(CoordinatorMessage, to: PeerID)
  /// Send the status as it is now: `Coordinator.status(at:)` with what only the process knows.
  case sendStatus(to: PeerID)
  /// Send `Coordinator.memoryStatus(at:)` with what only the process knows.
  case sendMemory(to: PeerID)
  /// Make this table of extents durable, in the place of the one before; one at a time.
  case writeLedger(number: UInt64, Ledger)
  /// Remove the coordinator's own files of these extents: shards hold them.
  case releaseExtents([Int])
  /// See whether somebody answers requests at the address that it gives out: `probed` says.
  case probe(BulkAddress)
  /// Hash each next version's student, chunk by chunk, from now on, or do not any more.
  case hashWeights(Bool)
  /// Workers are to fetch the student of this step from these, whose leases say so from here on.
  case nameWeightSources([BulkAddress], step: Int)
  /// Pull an extent into a file of the coordinator's own.
  case fetchExtent(AssignedExtent)
  /// Rows below this are seeded from now on, in the version of this step: `--forget-lost-rows`.
  case raiseFloor(to: Int)
  /// Make room for this lease's payload, or for its tail alone: chunks of it may arrive now.
  case expectPush(LeaseID, from: PeerID, Finished, keepsGradient: Bool)
  /// Forget what has arrived of this lease's payload.
  case abandonPush(LeaseID)
  /// The payload of this lease counts: add it to the step's tree at this node. If it has a gradient's hash the gradient is
  /// added up later: keep it as it is, if it came.
  case accept(LeaseID, Finished)
  /// What was accepted of this node does not count.
  case forgetResult(SliceRange)
  /// Make room for the sums of these chunks, those that are there excepted: they may arrive now, no others.
  case expectSums(ExpectedSums)
  /// No sums are expected any more, until others are; those that are there stay.
  case abandonSums
  /// Add these chunks up here too, after those that came before: `sumArrived` or `gradientUnavailable` says.
  case reduce(Reduction)
  /// Every slice of the step is accepted and added: clip, optimize, average, enqueue.
  case startUpdate(step: Int)
  case writeCheckpoint(step: Int)
  /// Write this down, and show it: each step once, ascending.
  case evaluated(Evaluation)
  /// Compute a node of the step here too, and say what comes of it.
  case recompute(step: Int, SliceRange, hashesGradient: Bool)
  /// See whether a picture's file decodes: `pictureExamined` or `picturesLost` says. One at a time.
  case examinePicture(Int)
  /// Remember these durably before any later effect: from their steps on the run goes on without them.
  case recordLost([LostPicture])
  /// What was accepted of the step does not count, nor what is being judged: nothing of it may come any more.
  case startOver(step: Int)
  /// Remember these durably before any later effect; with them, if the run is to go back, that only checkpoints of this
  /// step and before count.
  case quarantine([QuarantinedHost], rollingBackTo: Int?)
  /// All is said and durable: leave.
  case stop(StopReason)
  case log(LogLevel, String)
}

public enum LogLevel: Hashable, Sendable { case info, warning, error }

public enum StopReason: Hashable, Sendable {
  /// The last step is done and checkpointed.
  case finished
  /// Asked to; the last checkpoint is written.
  case requested
  /// To be opened again, from the newest checkpoint of this step or before it.
  case rollsBack(toStep: Int)
  /// This cannot go on; a sentence. Whether another start helps is not known.
  case failed(String)
  /// The same: every start would end here.
  case permanent(String)
  /// Something outside was in the way, a full disk for one: a later start goes on.
  case retryable(String)

  /// Why it failed, if it did.
  public var failure: String? {
    switch self {
    case .finished, .requested, .rollsBack: nil
    case .failed(let why), .permanent(let why), .retryable(let why): why
    }
  }
}
