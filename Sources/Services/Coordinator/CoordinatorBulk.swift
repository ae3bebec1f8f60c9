import Coordination
import MemoryBank
import Messages
import Numerics
import Synchronization
import Training
import Vision
import Wire

/// Answers on the bulk socket: weights, rows and pictures go out, payloads come in. All of it in the socket's thread.
///
/// What goes out is copied into frames, weights too: a frame that nobody reads holds a mebibyte, and no version.
package final class CoordinatorBulk: Sendable {
  /// Pictures whose digests are kept.
  private static let identitiesAtMost = 1 << 20
  /// How often the state machine hears that a payload's chunks come.
  private static let progressEvery = Duration.milliseconds(500)
  /// Up to here a picture gets memory of its own size, not a frame.
  private static let smallPicture = 64 << 10

  private let sender: Sender
  private let definition: RunDefinition
  private let pictures: CoordinatorPictures
  private var data: DataSet { pictures.data }
  private let answers: RowAnswers
  private let holders: @Sendable (Int, Int) -> HolderTable
  private let weights: PublishedWeights
  private let desk: PayloadReceiver
  private let reduction: StepReduction
  private let report: @Sendable (Event) -> Void
  private let log: ServiceLog
  private let state: Mutex<State>

  /// The thread's own; the lock is never waited for.
  private struct State: Sendable {
    var outgoing: BoundedReplies
    var pictures: [Int: [UInt8]] = [:]
    /// In the order of reading.
    var pictureOrder: [Int] = []
    var pictureBytes = 0
    var identities: [Int: PictureIdentity] = [:]
    var progress: [LeaseID: ContinuousClock.Instant] = [:]
  }

  private typealias Unavailable = RowAnswers.Unavailable

  /// - Parameters:
  ///   - holders: a piece of the table of who holds which extent.
  ///   - report: takes the events of arriving payloads.
  init(
    sender: Sender, definition: RunDefinition, pictures: CoordinatorPictures, rows: RowStore, weights: PublishedWeights,
    desk: PayloadReceiver, reduction: StepReduction,
    log: @escaping ServiceLog, holders: @escaping @Sendable (Int, Int) -> HolderTable,
    report: @escaping @Sendable (Event) -> Void
  ) {
    self.sender = sender
    self.definition = definition
    self.pictures = pictures
    answers = RowAnswers(source: rows, keys: definition.configuration.memoryKeys)
    self.holders = holders
    self.weights = weights
    self.desk = desk
    self.reduction = reduction
    self.log = log
    self.report = report
    state = Mutex(State(outgoing: BoundedReplies(log: log)))
  }

  /// For `SocketThread`.
  func handle(_ event: SocketEvent, _ socket: RouterSocket) {
    state.withLock { state in
      switch event {
      case .received(.message(let incoming)):
        if incoming.bulk != nil {
          // What comes needs no frame for its answer.
          state.outgoing.send(answer(incoming, into: nil, &state), nil, on: socket)
        } else if let refused = state.outgoing.add(incoming) {
          let reply = BulkReply.unavailable(reason: BoundedReplies.tooManyRequests)
          state.outgoing.send(Outgoing(reply, to: refused, from: sender), nil, on: socket)
        }
      case .received(.malformed(let peer, let error, let exchange)):
        // Here, where the asker waits: as a connection of its own it may be nobody on the control socket.
        if let peer {
          let reply = Outgoing(unavailable: "\(error)", exchange: exchange, to: peer, from: sender)
          state.outgoing.send(reply, nil, on: socket)
        }
        report(.malformed(from: peer, reason: error.description))
      case .received(.disconnected), .undelivered: break
      case .tick: state.outgoing.tick(on: socket)
      case .failed(let error):
        if error != .closed { log(.error, "The bulk socket failed: \(error)") }
      }
      let end = ContinuousClock.now + BoundedReplies.attention
      while ContinuousClock.now < end, let (request, frame) = state.outgoing.next(on: socket) {
        state.outgoing.send(answer(request, into: frame, &state), frame, on: socket)
      }
    }
  }

  /// Nil for a chunk that is one of many.
  /// - Parameter frame: for who asks for bulk; nobody else holds it.
  private func answer(_ incoming: Incoming, into frame: FloatBuffer?, _ state: inout State) -> Outgoing? {
    guard case .bulkRequest(let request) = incoming.envelope.message else {
      report(.malformed(from: incoming.peer, reason: "not a request of the bulk socket"))
      return Outgoing(
        .unavailable(reason: "this is no request; say it on the control socket"), to: incoming, from: sender)
    }
    let reply: (BulkReply, Bulk?)?
    do {
      let claimed = incoming.envelope.sender
      guard claimed.run == sender.run, claimed.incarnation == sender.incarnation else {
        throw Unavailable("this is incarnation \(sender.incarnation.number) of another run or start: say hello")
      }
      switch request {
      case .weights(let network, let step, let offset, let count):
        reply = try weights(network, step, offset, count, into: required(frame))
      case .rows(let rows): reply = try answers.rows(rows, into: required(frame))
      case .records(let extent, let first, let count):
        reply = try answers.records(extent: extent, first: first, count: count, into: required(frame))
      case .holders(let first, let count): reply = (.holders(holders(first, count)), nil)
      case .weightSources(let step):
        guard let sources = weights.sources(ofStep: step) else {
          throw Unavailable("nobody else has the weights of step \(step)")
        }
        reply = (.weightSources(sources), nil)
      case .picture(let index, let offset, let own):
        reply = try picture(index, offset, own, into: required(frame), &state)
      case .push(let lease, let offset):
        guard let chunk = incoming.bulk else { throw Unavailable("a push without its floats") }
        reply = try push(lease, offset, chunk, from: incoming.peer, &state)
      case .sum(let deal, let chunk):
        guard let sum = incoming.bulk else { throw Unavailable("a sum without its floats") }
        switch reduction.take(sum, ofChunk: chunk, deal: deal, from: incoming.peer) {
        case .refused(let reason): throw Unavailable(reason)
        case .here(let arrived):
          report(.sumArrived(arrived))
          reply = (.summed(reduction: deal, chunk: chunk), nil)
        }
      case .gradient(let chunk): reply = try gradient(chunk, into: required(frame))
      case .gradientHashes: throw Unavailable("the gradients that the coordinator keeps have no hashes")
      }
    } catch let unavailable as Unavailable {
      reply = (.unavailable(reason: unavailable.reason), nil)
    } catch let error as VisionError {
      // The thread that looks into it says what follows, once.
      reply = (.unavailable(reason: "\(error)"), nil)
    } catch {
      log(.error, "\(error)")
      reply = (.unavailable(reason: "\(error)"), nil)
    }
    return reply.map { Outgoing($0, bulk: $1, to: incoming, from: sender) }
  }

  private func required(_ frame: FloatBuffer?) -> FloatBuffer {
    guard let frame else { fatalError("invariant broken: bulk is asked for without a frame") }
    return frame
  }
}

// MARK: - Going out

extension CoordinatorBulk {
  private func weights(
    _ network: Messages.Network, _ step: Int, _ offset: Int, _ count: Int, into frame: FloatBuffer
  ) throws -> (BulkReply, Bulk?) {
    guard let version = weights.version(ofStep: step) else {
      throw Unavailable("weights of step \(step); the newest are of step \(weights.current.step)")
    }
    guard let buffer = version.buffer(of: network) else { throw Unavailable(network.absence) }
    guard offset <= buffer.count, count <= buffer.count - offset else {
      throw Unavailable("floats \(offset) to \(offset + count) of \(buffer.count)")
    }
    return (
      .weights(network: network, step: step, offset: offset), buffer.copied(offset..<(offset + count), into: frame)
    )
  }

  private func gradient(_ name: GradientChunk, into frame: FloatBuffer) throws -> (BulkReply, Bulk?) {
    guard weights.current.step == name.step, let gradient = reduction.gradient(of: name.slices) else {
      throw Unavailable("the gradient of slices from \(name.slices.first) on of step \(name.step) is not here")
    }
    guard name.chunk < GradientChunk.count(ofFloats: gradient.count) else {
      throw Unavailable("chunk \(name.chunk) of a gradient of \(gradient.count) floats")
    }
    return (.gradient(name), gradient.copied(GradientChunk.floats(of: name.chunk, in: gradient.count), into: frame))
  }

  private func picture(
    _ index: Int, _ offset: Int, _ own: PictureIdentity?, into frame: FloatBuffer, _ state: inout State
  ) throws -> (BulkReply, Bulk?) {
    guard index < data.count else { throw Unavailable("picture \(index) of \(data.count)") }
    if let own {
      // Another size says enough without reading.
      if own.size == data.size(index), try identity(of: index, &state) == own {
        return (.samePicture(index: index), nil)
      }
    }
    let bytes = try bytes(of: index, &state)
    guard offset < bytes.count else { throw Unavailable("byte \(offset) of \(bytes.count) of \(data.path(index))") }
    let end = min(bytes.count, offset + WireLimits.bulkBytes)
    let count = end - offset
    let buffer = count <= Self.smallPicture ? FloatBuffer(count: (count + 3) / 4) : frame
    buffer.withMutableBytes(of: 0..<buffer.count) { $0.copyBytes(from: bytes[offset..<end]) }
    return (.picture(index: index, offset: offset, total: bytes.count), .leading(buffer, bytes: count))
  }

  private func identity(of index: Int, _ state: inout State) throws -> PictureIdentity {
    if let known = state.identities[index] { return known }
    // Read, but not kept: whoever has the picture does not ask for its bytes.
    let bytes = try state.pictures[index] ?? pictures.read(index)
    let identity = PictureIdentity(size: bytes.count, digest: Digest(of: bytes))
    if state.identities.count >= Self.identitiesAtMost { state.identities = [:] }
    state.identities[index] = identity
    return identity
  }

  private func bytes(of index: Int, _ state: inout State) throws -> [UInt8] {
    if let bytes = state.pictures[index] { return bytes }
    let bytes = try pictures.read(index)
    state.pictures[index] = bytes
    state.pictureOrder.append(index)
    state.pictureBytes += bytes.count
    while state.pictureBytes > WireLimits.pictureBytesKept, state.pictureOrder.count > 1 {
      state.pictureBytes -= state.pictures.removeValue(forKey: state.pictureOrder.removeFirst())?.count ?? 0
    }
    return bytes
  }
}

// MARK: - Coming in

extension CoordinatorBulk {
  private func push(
    _ lease: LeaseID, _ offset: Int, _ chunk: BulkFrame, from peer: PeerID, _ state: inout State
  ) throws -> (BulkReply, Bulk?)? {
    switch desk.receive(chunk, at: offset, of: lease, from: peer) {
    case .refused(let reason): throw Unavailable(reason)
    case .again: return (.pushed(lease), nil)
    case .partly:
      let now = ContinuousClock.now
      if now - (state.progress[lease] ?? now - .seconds(1)) >= Self.progressEvery {
        // Leases that ended are forgotten with the others: a few of them are open at any time.
        if state.progress.count >= 64 { state.progress = [:] }
        state.progress[lease] = now
        report(.pushProgressed(lease))
      }
      return nil
    case .ended(let outcome):
      state.progress[lease] = nil
      report(.pushArrived(lease, outcome))
      switch outcome {
      case .whole: return (.pushed(lease), nil)
      case .damaged:
        throw Unavailable("the payload of lease \(lease.number) does not have the digest that was announced")
      case .notFinite: throw Unavailable("the payload of lease \(lease.number) is not finite")
      }
    }
  }
}

extension Messages.Network {
  /// Why a version does not have it.
  fileprivate var absence: String {
    switch self {
    case .student, .teacher: "there are no such weights"
    case .studentStatistics, .teacherStatistics: "the network has no running statistics"
    case .newRows: "new rows are not given like weights in this step: ask for rows"
    }
  }
}
