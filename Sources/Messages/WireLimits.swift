import Numerics

/// What a peer's numbers may be at most, each with its reason. What goes beyond is refused before anything is allocated
/// for it; senders hold themselves to the same limits.
public enum WireLimits {
  /// The protocol that this massl speaks; raised when the meaning of a field changes.
  public static let protocolVersion: UInt32 = 4

  // MARK: Frames

  /// Bytes of a bulk frame. Loopback is fastest at about 1 MiB, and what waits behind a chunk waits little.
  public static let bulkBytes = 1 << 20
  /// Floats of a bulk frame.
  public static let bulkFloats = bulkBytes / MemoryLayout<Float>.stride
  /// Bytes on their way between two processes of one machine, for each connection with bulk frames; Linux doubles it. A
  /// sender that has to stop there leaves the processor to the receiver, which finds what was sent in the cache. Between
  /// machines the system chooses, for what is under way there has to fill a long line.
  package static let loopbackSendBuffer: Int32 = 384 << 10
  /// Frames that so many floats take.
  public static func frames(ofFloats count: Int) -> Int { (count + bulkFloats - 1) / bulkFloats }
  /// Bytes of an envelope: the largest is a `finished` of `slicesPerStep` losses, 24 bytes each.
  public static let envelopeBytes = 2 << 20
  /// Bytes of any one frame; libzmq cuts a peer off that announces more.
  public static let frameBytes = max(bulkBytes, envelopeBytes)
  /// Bytes that unpacking one envelope may allocate: a two-byte field of the wire costs protobuf-c some 40 bytes while
  /// it scans and up to 48 as a message of its own, so hostile envelopes would grow fortyfold.
  package static let unpackedBytes = 8 * envelopeBytes

  // MARK: Queues

  /// Messages that wait to be sent to one control peer: minutes of heartbeats.
  public static let controlMessagesQueued = 1024
  /// Messages that wait to be sent to one bulk peer: 64 MiB of chunks, enough to keep 10 Gbit/s busy over 50 ms.
  public static let bulkMessagesQueued = 64

  /// Requests of one call, or pieces at one holder, that are under way at once: enough to hide a round trip, few enough
  /// to bound memory.
  public static let requestsUnderWay = 8
  /// Frames of all answers under way: 256 MiB, enough for a 25 Gbit/s link over 80 ms.
  public static let framesAnswered = 256
  /// Bytes of pictures that whoever serves them keeps between chunks and askers.
  public static let pictureBytesKept = 64 << 20

  // MARK: Connections

  /// Bytes of one message that is not over: the largest one, which has no bulk frame, and some to spare. In libzmq's
  /// memory a frame without bytes, two on the wire, takes 64.
  public static let unfinishedMessageBytes = frameBytes + bulkBytes / 4
  /// The same, of all connections of a socket: of those that push, few do so at a time.
  public static let unfinishedBytes = 8 << 20
  /// Bytes of whole messages that libzmq holds for a socket until they are handed over, all connections together; where
  /// payloads arrive, besides those that are granted.
  public static let backlogBytes = 64 << 20
  /// What libzmq takes for a frame besides its bytes, at most.
  package static let frameMemory = 128
  /// Sockets of libzmq's that a process's context may have: three for each worker that another one fetches from (its own,
  /// and the two ends over which it is told of), twice, for an ended one goes a moment later. libzmq itself has 1,023.
  package static let socketsOfAContext: Int32 = 2 * 3 * 1024 + 64
  /// Descriptors that a process keeps for its files, its threads and whom it connects to, whoever connects to it.
  public static let reservedDescriptors = 128
  /// How often the system of each side of an idle connection has the other's acknowledge something.
  package static let probeEvery = Duration.seconds(2)
  /// A connection whose other end acknowledged nothing for so long is not heard: two probes, and some time on the way.
  package static let heard = Duration.seconds(5)

  // MARK: Numbers

  /// Slices in a step. A batch of 65,536 slices has no use; its losses still fit an envelope.
  public static let slicesPerStep = 65_536
  /// Slices that a worker computes at once: no machine has more cores by far.
  public static let threads = 1024
  /// Leases that a worker works on, waits to push, or keeps the gradient of: two for each thread, and some to spare.
  public static let heldLeases = 4 * threads + 4 + gradientsKept
  /// Pictures that an evaluation judges by: more would not change the figures, and they fit 200 KiB.
  public static let evaluationPictures = 16_384
  /// Classes of a data set.
  public static let classes = 1 << 31
  /// Undecodable pictures named in one lease: with more than that, the data set is beyond saving.
  public static let undecodablePictures = 1024
  /// Pictures that a run may have lost: each lease names them, in 20 KiB at most.
  public static let lostPictures = 4096
  /// Bytes that say which of the memory's watched slots were chosen.
  public static let chosenBytes = 8192
  /// Steps of a run: at 1000 a second, 8,900 years.
  public static let step = 1 << 48
  /// Bytes, floats, rows or pictures, as offset or count: keyed permutations reach as far.
  public static let offset = 1 << 48
  /// Rows in one request; they must fit a bulk frame, and none is narrower than 16 bytes.
  public static let rowsPerRequest = 65_536

  // MARK: Memory shards

  /// Extents that a shard holds: they fit one `shardHello`, 12 bytes each, and are 8 TiB of usual ones.
  public static let extentsPerShard = 131_072
  /// Extents in one `assignment`: what is pulled at once, and what is removed.
  public static let extentsAssigned = 4096
  /// Who has an extent that is to be pulled: more than would ever be asked.
  public static let sources = 8
  /// Extents in one piece of the table of holders.
  public static let extentsPerRequest = 65_536
  /// Copies of an extent.
  public static let holders = 8
  /// Shards in a run.
  public static let shards = 1024

  // MARK: Weights

  /// Floats of a chunk of weights, a quarter of a frame: a source sends the first of its chunks on while the others come,
  /// and small networks have chunks for all sources.
  public static let weightChunkFloats = bulkFloats / 4
  /// Chunks of a network's weights: 16 GiB. Their hashes fit half an envelope.
  public static let weightChunks = 65_536
  public static func weightChunks(ofFloats count: Int) -> Int { (count + weightChunkFloats - 1) / weightChunkFloats }
  /// Workers that a step's weights are fetched from: one a host, and as many as a run has workers.
  public static let weightSources = 1024
  /// Frames of all answers of a worker under way: 64 MiB, enough for a 10 Gbit/s link over 50 ms.
  public static let weightFramesAnswered = 64
  /// Requests to a worker for weights that it has not yet: a window of each of its peers.
  public static let weightRequestsWaiting = 4096

  // MARK: Gradients

  /// Floats of a gradient's chunk, a quarter of a frame: dealt to 64 workers, 27 million parameters come out even to a sixth.
  public static let gradientChunkFloats = bulkFloats / 4
  /// Chunks of a gradient: 16 GiB. Their hashes fit a frame.
  public static let gradientChunks = bulkBytes / ContentHash.byteCount
  /// Gradients that are added up by one `Reduction`: four for each worker.
  public static let gradientsReduced = 4096
  /// Bytes of chunks of gradients that a reducer pulls together, or one chunk of each gradient.
  public static let gradientBytesPulled = 64 << 20
  /// Who has a gradient.
  public static let gradientHolders = 4
  /// Gradients that a worker keeps for others: one for each lease of a step where slices are small.
  public static let gradientsKept = 256

  // MARK: Texts, in bytes of UTF-8

  /// A name or a reason, in a message that may hold many of them.
  public static let shortText = 256
  /// A sentence or two for people.
  public static let sentence = 4096
  /// A run's configuration or status: far more than either, and less than half an envelope.
  public static let document = 900_000
}
