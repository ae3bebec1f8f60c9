import MemoryBank
import Numerics
import Slices

/// Who says it, about which run: on every message, checked before anything else.
public struct Sender: Hashable, Sendable {
  /// Zero bits in a worker's first hello: it does not know the run yet.
  public var run: RunIdentity
  public var incarnation: Incarnation
  public var peer: PeerID

  public init(run: RunIdentity, incarnation: Incarnation, peer: PeerID) {
    self.run = run
    self.incarnation = incarnation
    self.peer = peer
  }
}

// MARK: - Control, worker to coordinator

/// What a worker says on the control socket.
public enum WorkerMessage: Hashable, Sendable {
  case hello(Hello)
  /// Sent every second and whenever a thread becomes idle: asks for work, and is the heartbeat.
  case ready(Ready)
  /// A lease is computed; its payload waits for a grant.
  case finished(Finished)
  /// A lease is given back, not computed.
  case returned(Returned)
  /// Asks for a `status` answer; any peer may, without a hello.
  case statusRequest
  /// Leaves for good; its leases are free.
  case goodbye
  /// Asks for a `memory` answer; any peer may, without a hello.
  case memoryRequest
  /// Asks that a shard, by its name or the digits of its identity, be emptied and sent away; any peer may.
  case drainRequest(shard: String)
  /// Asks that a shard that is being drained, named likewise, stay; any peer may.
  case stayRequest(shard: String)
  /// Chunks that a `reduction` named cannot be added up here.
  case reductionFailed(ReductionFailure)
  /// The answer to an `evaluate`; it is said again until its lease is cancelled.
  case evaluated(Evaluated)
}

/// What rounds, beside massl itself, for people; empty where it is not known.
public struct LibraryVersions: Hashable, Sendable, CustomStringConvertible {
  public var openBLAS: String
  public var libjpeg: String
  /// Empty in fp32 too.
  public var oneDNN: String

  public init(openBLAS: String = "", libjpeg: String = "", oneDNN: String = "") {
    self.openBLAS = openBLAS
    self.libjpeg = libjpeg
    self.oneDNN = oneDNN
  }

  public var description: String {
    let known = [openBLAS, oneDNN, libjpeg].filter { !$0.isEmpty }
    return known.isEmpty ? "unknown libraries" : known.joined(separator: "; ")
  }
}

public struct Hello: Hashable, Sendable {
  /// The newest protocol that it speaks.
  public var protocolVersion: UInt32
  /// For people: host name and process number.
  public var name: String
  /// The machine: what is wrong with its processor or memory is wrong with all workers on it.
  public var host: String
  /// Slices that it computes at once, 1...1024.
  public var threads: Int
  /// The digest of the probe slice, JPEG decode included: peers of one compute class have the same.
  public var probe: Digest
  /// Of this worker's process.
  public var libraries: LibraryVersions
  /// Where others may fetch weights from it; nil where it gives none.
  public var address: BulkAddress?
  /// It can take an `evaluate`.
  public var evaluates: Bool

  /// - Parameter host: by default the name.
  public init(
    protocolVersion: UInt32, name: String, host: String? = nil, threads: Int, probe: Digest,
    libraries: LibraryVersions = LibraryVersions(), address: BulkAddress? = nil, evaluates: Bool = false
  ) {
    self.protocolVersion = protocolVersion
    self.name = name
    self.host = host ?? name
    self.threads = threads
    self.probe = probe
    self.libraries = libraries
    self.address = address
    self.evaluates = evaluates
  }
}

public struct Ready: Hashable, Sendable {
  /// Threads without work, 0...threads.
  public var idleThreads: Int
  /// Leases that it works on, waits to push, or keeps the gradient of, and that of an evaluation; those the coordinator
  /// believes it has but that are not here are lost.
  public var held: [LeaseID]
  /// Gradients that it can keep for others to fetch, those that it keeps among them.
  public var gradients: Int

  public init(idleThreads: Int, held: [LeaseID], gradients: Int = 0) {
    self.idleThreads = idleThreads
    self.held = held
    self.gradients = gradients
  }
}

/// The small part of a lease's result; the large part (gradient, rows, statistics) follows on the bulk socket once granted.
public struct Finished: Hashable, Sendable {
  public var lease: LeaseID
  public var step: Int
  public var slices: SliceRange
  /// Digest of the whole payload.
  public var payload: Digest
  /// Floats in the payload: gradient, then rows, then running statistics, slice by slice.
  public var payloadCount: Int
  /// One a slice, in slice order.
  public var losses: [SliceLoss]
  /// Which of the memory's watched slots held the row nearest to a teacher view: a bit each, lowest bit of a byte first.
  public var chosen: [UInt8]
  /// Pictures whose bytes do not decode, with the reason.
  public var undecodable: [UndecodablePicture]
  /// What the step's weights and rows cost this worker; nothing in its later results of the step.
  public var traffic = StepTraffic()
  /// Of the gradient alone, if the lease asks for it.
  public var gradient: GradientIdentity?

  public init(
    lease: LeaseID, step: Int, slices: SliceRange, payload: Digest, payloadCount: Int, losses: [SliceLoss],
    chosen: [UInt8] = [], undecodable: [UndecodablePicture], gradient: GradientIdentity? = nil
  ) {
    self.lease = lease
    self.step = step
    self.slices = slices
    self.payload = payload
    self.payloadCount = payloadCount
    self.losses = losses
    self.chosen = chosen
    self.undecodable = undecodable
    self.gradient = gradient
  }
}

/// What a step cost a worker before it could begin: its weights, and those memory rows that are stored somewhere, for
/// seeded ones are computed.
public struct StepTraffic: Hashable, Sendable {
  /// Microseconds in which its weights came.
  public var weights = 0
  /// Rows that were in the worker's cache.
  public var cached = 0
  /// Rows that were fetched.
  public var fetched = 0
  /// Microseconds for which the step could not begin for want of rows.
  public var waited = 0

  public init(weights: Int = 0, cached: Int = 0, fetched: Int = 0, waited: Int = 0) {
    (self.weights, self.cached, self.fetched, self.waited) = (weights, cached, fetched, waited)
  }

  public static func += (left: inout StepTraffic, right: StepTraffic) {
    // Peers say these numbers: none may end the program.
    left.weights &+= right.weights
    left.cached &+= right.cached
    left.fetched &+= right.fetched
    left.waited &+= right.waited
  }
}

public struct Returned: Hashable, Sendable {
  public var lease: LeaseID
  public var reason: String
  /// Pictures that do not decode, if that is the reason: too many in a row to replace one by the next.
  public var undecodable: [UndecodablePicture]
  /// Something outside was in the way and may pass (rows that nobody serves just now): nobody's fault, however often.
  public var isPassing: Bool
  public init(lease: LeaseID, reason: String, undecodable: [UndecodablePicture] = [], isPassing: Bool = false) {
    self.lease = lease
    self.reason = reason
    self.undecodable = undecodable
    self.isPassing = isPassing
  }
}

// MARK: - Control, coordinator to worker

/// What the coordinator says on the control socket.
public enum CoordinatorMessage: Hashable, Sendable {
  case welcome(Welcome)
  /// The peer's last message is not accepted: what and why, and whether to say hello again.
  case refusal(Refusal)
  case lease(Lease)
  /// Answer to `ready`: the coordinator lives.
  case heartbeat(step: Int)
  /// Push the payload of this lease now; or its tail alone, and keep the gradient for others to fetch until the lease is
  /// cancelled or a later step begins.
  case grant(LeaseID, keepsGradient: Bool = false)
  /// Add up these chunks of the step's gradient, and send the sums.
  case reduction(Reduction)
  /// Judge the step's teacher by a sample of pictures, beside all leases.
  case evaluate(Evaluate)
  /// This lease's result is no longer wanted (it is done, or its step is): drop it, stop computing it.
  case cancel(LeaseID)
  case status(json: String)
  /// The run is over, or a drained shard is empty: leave with exit code 0.
  case finished
  case shardWelcome(ShardWelcome)
  /// What a shard should hold, in bounded pieces: the newest counts.
  case assignment(Assignment)
  /// Shards and extents, as `massl memory list --json` prints them.
  case memory(json: String)
  /// Whether the shard will be drained, or will stay, as was asked; a sentence.
  case drain(isAccepted: Bool, text: String)
}

public struct Welcome: Hashable, Sendable {
  /// The run's whole configuration, as a recipe (YAML).
  public var configuration: String
  /// TCP port of the bulk socket, on the host that the worker reached the control socket at.
  public var bulkPort: Int
  public var data: DataIdentity
  /// Rows that the incarnation began with: those from here on that a worker has from before are of no use.
  public var rows: Int

  public init(configuration: String, bulkPort: Int, data: DataIdentity, rows: Int) {
    self.configuration = configuration
    self.bulkPort = bulkPort
    self.data = data
    self.rows = rows
  }
}

/// Which data set: count of pictures and a digest of their relative paths and sizes, in order.
public struct DataIdentity: Hashable, Sendable {
  public var count: Int
  public var digest: Digest
  public init(count: Int, digest: Digest) {
    self.count = count
    self.digest = digest
  }
}

public struct Refusal: Hashable, Sendable {
  public enum Reason: UInt32, Hashable, Sendable, CaseIterable {
    /// Another protocol version: update the older side.
    case protocolVersion = 1
    /// The probe's bits differ: another compute class.
    case computeClass = 2
    /// The coordinator started anew, or does not know this peer: say hello.
    case unknownPeer = 3
    /// Another run answers at this address.
    case otherRun = 4
    /// A message that cannot be read or whose fields are out of bounds.
    case malformed = 5
    /// The coordinator has as many workers as it takes: ask again later.
    case tooManyPeers = 6
    /// A worker of this host gave a wrong result: another host is needed.
    case quarantined = 7
    /// Two running shards have the same identity: a copied directory.
    case duplicateShard = 16
  }
  public var reason: Reason
  /// A sentence for people.
  public var text: String
  public init(reason: Reason, text: String) {
    self.reason = reason
    self.text = text
  }
}

/// Compute these slices of this step, with the weights and the memory of that step.
public struct Lease: Hashable, Sendable {
  public var lease: LeaseID
  public var step: Int
  public var slices: SliceRange
  /// Digests of the step's weights: what the worker has must match before it computes.
  public var student: Digest
  public var teacher: Digest
  /// Rows enqueued before this step: its memory is the last `memory_size` of them.
  public var rows: Int
  /// Row numbers below this are seeded, not stored; 0 unless `memory_size` grew.
  public var memoryFloor: Int
  /// Of the table of who holds which extent: a worker with an older one asks for it. 0: the coordinator serves all rows.
  public var holdersVersion: UInt64
  /// Pictures that the run has lost by this step, ascending: the next takes the place of each, as if it did not decode.
  public var lost: [Int]
  /// Whether the step's student, and its new rows, are to be fetched from the worker's peers: `BulkRequest.weightSources`
  /// says from whom.
  public var exchangesWeights: Bool
  /// Whether the result is to have a `GradientIdentity`: the gradient may stay with the worker.
  public var hashesGradient: Bool

  public init(
    lease: LeaseID, step: Int, slices: SliceRange, student: Digest, teacher: Digest, rows: Int, memoryFloor: Int,
    holdersVersion: UInt64 = 0, lost: [Int] = [], exchangesWeights: Bool = false, hashesGradient: Bool = false
  ) {
    self.lease = lease
    self.step = step
    self.slices = slices
    self.student = student
    self.teacher = teacher
    self.rows = rows
    self.memoryFloor = memoryFloor
    self.holdersVersion = holdersVersion
    self.lost = lost
    self.exchangesWeights = exchangesWeights
    self.hashesGradient = hashesGradient
  }

  /// Which rows its step's memory has.
  public var memoryVersion: MemoryVersion { MemoryVersion(step: step, rows: rows, floor: memoryFloor) }
}

// MARK: - Bulk

/// What is asked or pushed on the bulk socket of the coordinator, of a shard (rows and records) or of a worker (weights and
/// gradients). A push and a sum carry one bulk frame; the others none.
public enum BulkRequest: Hashable, Sendable {
  /// Floats `offset ..< offset + count` of a network's parameters at a step.
  case weights(network: Network, step: Int, offset: Int, count: Int)
  case rows(RowRequest)
  /// The bytes of a picture from `offset` on, unless the asker's own file has this size and digest.
  case picture(index: Int, offset: Int, own: PictureIdentity?)
  /// Floats `offset ..< offset + frame` of a granted lease's payload; the frame follows.
  case push(lease: LeaseID, offset: Int)
  /// Rows `first ..< first + count` of an extent, as they are stored, with their checksums: for a shard that copies it.
  case records(extent: Int, first: Int, count: Int)
  /// Who holds extents `first ..< first + count`.
  case holders(first: Int, count: Int)
  /// Who has the student's weights of a step, and its new rows.
  case weightSources(step: Int)
  /// The hashes of a kept gradient's chunks.
  case gradientHashes(step: Int, slices: SliceRange)
  /// A chunk of a kept gradient.
  case gradient(GradientChunk)
  /// The sum of a chunk over all slices, by the `Reduction` of this number; the frame follows.
  case sum(reduction: UInt64, chunk: Int)
}

public enum Network: UInt32, Hashable, Sendable, CaseIterable {
  case student = 1
  case teacher = 2
  /// Running statistics of BatchNorm are not parameters: they are asked for as networks of their own.
  case studentStatistics = 3
  case teacherStatistics = 4
  /// Nor are the rows that the update before the step appended to the memory: in order, as they are stored, with zeros up
  /// to a whole float. They are there where workers fetch them from each other.
  case newRows = 5
}

public struct PictureIdentity: Hashable, Sendable {
  public var size: Int
  public var digest: Digest
  public init(size: Int, digest: Digest) {
    self.size = size
    self.digest = digest
  }
}

/// What is answered on the bulk socket. Weights, rows, pictures, records, and gradients and their hashes carry one bulk
/// frame.
public enum BulkReply: Hashable, Sendable {
  case weights(network: Network, step: Int, offset: Int)
  case rows(step: Int, block: Int, first: Int)
  /// `total` bytes in all; the frame holds those from `offset` on.
  case picture(index: Int, offset: Int, total: Int)
  /// The asker's own file is the same.
  case samePicture(index: Int)
  /// All of the payload of a lease is here and has its digest.
  case pushed(LeaseID)
  /// What was asked for is not here (any more, or yet): drop the lease, or ask later.
  case unavailable(reason: String)
  case records(extent: Int, first: Int)
  case holders(HolderTable)
  case weightSources(WeightSources)
  /// 16 bytes a chunk, as a `ContentHash` is written.
  case gradientHashes(step: Int, slices: SliceRange)
  case gradient(GradientChunk)
  /// The sum of a chunk is here.
  case summed(reduction: UInt64, chunk: Int)
}
