internal import CMessages
internal import CProtobufC
import Messages
import Numerics
import Packing
import Slices

// From values to protobuf. What is out of `WireLimits` here is this program's own mistake, so it stops; only texts for
// people are cut to their limit, for they quote what others wrote.

extension Envelope {
  /// The envelope frame: at most `WireLimits.envelopeBytes` bytes.
  ///
  /// Reasons, names and sentences are cut to their limits, undecodable pictures to the first
  /// `WireLimits.undecodablePictures`.
  /// - Precondition: all numbers are within `WireLimits`.
  public func encoded() -> [UInt8] {
    let memory = MessageMemory()
    return withExtendedLifetime(memory) {
      let c = memory.make(Massl__Envelope.self, massl__envelope__init)
      c.pointee.protocol_version = WireLimits.protocolVersion
      c.pointee.run = memory.digest(sender.run.digest)
      c.pointee.incarnation = sender.incarnation.number
      c.pointee.peer = sender.peer.rawValue
      c.pointee.exchange = exchange
      switch message {
      case .worker(let message): memory.write(message, into: c)
      case .shard(let message): memory.write(message, into: c)
      case .coordinator(let message): memory.write(message, into: c)
      case .bulkRequest(let request): memory.write(request, into: c)
      case .bulkReply(let reply): memory.write(reply, into: c)
      }
      let size = massl__envelope__get_packed_size(c)
      invariant(size <= WireLimits.envelopeBytes, "an envelope of \(size) bytes")
      return [UInt8](unsafeUninitializedCapacity: size) { bytes, count in
        count = massl__envelope__pack(c, bytes.baseAddress)
      }
    }
  }
}

extension MessageMemory {
  func bytes(_ bytes: [UInt8]) -> ProtobufCBinaryData {
    ProtobufCBinaryData(len: bytes.count, data: array(bytes))
  }

  func digest(_ digest: Digest) -> ProtobufCBinaryData {
    bytes(withUnsafeBytes(of: (digest.high.bigEndian, digest.low.bigEndian)) { Array($0) })
  }

  /// Cut to at most `limit` bytes, between characters.
  func text(_ text: String, cutTo limit: Int) -> UnsafeMutablePointer<CChar> {
    var utf8 = Array(text.utf8.prefix(limit))
    if text.utf8.count > limit {
      // The bytes of a character after its first are 10xxxxxx: cut before a character that would be torn.
      var end = limit
      let whole = Array(text.utf8.prefix(limit + 1))
      while end > 0, whole[end] & 0xC0 == 0x80 { end -= 1 }
      utf8.removeSubrange(end...)
    }
    return self.text(utf8)
  }

  /// A text that makes no sense when cut.
  func document(_ text: String) -> UnsafeMutablePointer<CChar> {
    invariant(text.utf8.count <= WireLimits.document, "a document of \(text.utf8.count) bytes")
    return self.text(text, cutTo: WireLimits.document)
  }

  func slices(_ slices: SliceRange) -> UnsafeMutablePointer<Massl__Slices> {
    let c = make(Massl__Slices.self, massl__slices__init)
    c.pointee.first = number(slices.first, below: WireLimits.slicesPerStep)
    c.pointee.count = number(slices.count, below: WireLimits.slicesPerStep - slices.first + 1)
    return c
  }
}

/// - Returns: `value`, which the receiver would refuse if it were not in `0 ..< limit`.
func number(_ value: Int, below limit: Int = WireLimits.offset) -> UInt64 {
  invariant(value >= 0 && value < limit, "\(value) is to be sent, but is not below \(limit)")
  return UInt64(value)
}

// MARK: - Control

extension MessageMemory {
  func write(_ message: WorkerMessage, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    switch message {
    case .hello(let hello):
      let c = make(Massl__Hello.self, massl__hello__init)
      c.pointee.protocol_version = hello.protocolVersion
      c.pointee.name = text(hello.name, cutTo: WireLimits.shortText)
      c.pointee.host = text(hello.host, cutTo: WireLimits.shortText)
      c.pointee.threads = UInt32(number(hello.threads, below: WireLimits.threads + 1))
      c.pointee.probe = digest(hello.probe)
      c.pointee.openblas = text(hello.libraries.openBLAS, cutTo: WireLimits.shortText)
      c.pointee.libjpeg = text(hello.libraries.libjpeg, cutTo: WireLimits.shortText)
      c.pointee.onednn = text(hello.libraries.oneDNN, cutTo: WireLimits.shortText)
      if let address = hello.address { c.pointee.address = write(address) }
      c.pointee.evaluates = hello.evaluates ? 1 : 0
      envelope.pointee.hello = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_HELLO
    case .ready(let ready):
      let c = make(Massl__Ready.self, massl__ready__init)
      invariant(ready.held.count <= WireLimits.heldLeases, "\(ready.held.count) leases held")
      c.pointee.idle_threads = UInt32(number(ready.idleThreads, below: WireLimits.threads + 1))
      c.pointee.n_held = ready.held.count
      c.pointee.held = array(ready.held.map(\.number))
      c.pointee.gradients = UInt32(number(ready.gradients, below: WireLimits.gradientsKept + 1))
      envelope.pointee.ready = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_READY
    case .finished(let finished):
      envelope.pointee.finished = write(finished)
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_FINISHED
    case .returned(let returned):
      let c = make(Massl__Returned.self, massl__returned__init)
      c.pointee.lease = returned.lease.number
      c.pointee.reason = text(returned.reason, cutTo: WireLimits.sentence)
      (c.pointee.n_undecodable, c.pointee.undecodable) = write(returned.undecodable)
      c.pointee.is_passing = returned.isPassing ? 1 : 0
      envelope.pointee.returned = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_RETURNED
    case .statusRequest:
      envelope.pointee.status_request = make(Massl__StatusRequest.self, massl__status_request__init)
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_STATUS_REQUEST
    case .goodbye:
      envelope.pointee.goodbye = make(Massl__Goodbye.self, massl__goodbye__init)
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_GOODBYE
    case .memoryRequest: writeMemoryRequest(into: envelope)
    case .drainRequest(let shard):
      invariant(!shard.isEmpty, "a shard without a name is to be drained")
      writeMemoryRequest(drain: shard, into: envelope)
    case .stayRequest(let shard):
      invariant(!shard.isEmpty, "a shard without a name is to stay")
      writeMemoryRequest(stay: shard, into: envelope)
    case .reductionFailed(let failure): write(failure, into: envelope)
    case .evaluated(let evaluated): write(evaluated, into: envelope)
    }
  }

  func write(_ message: CoordinatorMessage, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    switch message {
    case .welcome(let welcome):
      let c = make(Massl__Welcome.self, massl__welcome__init)
      c.pointee.configuration = document(welcome.configuration)
      c.pointee.bulk_port = UInt32(number(welcome.bulkPort, below: 65_536))
      c.pointee.data_count = number(welcome.data.count)
      c.pointee.data_digest = digest(welcome.data.digest)
      c.pointee.rows = number(welcome.rows)
      envelope.pointee.welcome = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_WELCOME
    case .refusal(let refusal):
      let c = make(Massl__Refusal.self, massl__refusal__init)
      c.pointee.reason = Massl__RefusalReason(rawValue: .init(refusal.reason.rawValue))
      c.pointee.text = text(refusal.text, cutTo: WireLimits.sentence)
      envelope.pointee.refusal = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_REFUSAL
    case .lease(let lease):
      let c = make(Massl__Lease.self, massl__lease__init)
      c.pointee.lease = lease.lease.number
      c.pointee.step = number(lease.step)
      c.pointee.slices = slices(lease.slices)
      c.pointee.student = digest(lease.student)
      c.pointee.teacher = digest(lease.teacher)
      c.pointee.rows = number(lease.rows)
      c.pointee.memory_floor = number(lease.memoryFloor)
      c.pointee.holders_version = lease.holdersVersion
      invariant(lease.lost.count <= WireLimits.lostPictures, "\(lease.lost.count) lost pictures")
      c.pointee.n_lost = lease.lost.count
      c.pointee.lost = array(lease.lost.map { number($0) })
      c.pointee.exchanges_weights = lease.exchangesWeights ? 1 : 0
      c.pointee.hashes_gradient = lease.hashesGradient ? 1 : 0
      envelope.pointee.lease = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_LEASE
    case .heartbeat(let step):
      let c = make(Massl__Heartbeat.self, massl__heartbeat__init)
      c.pointee.step = number(step)
      envelope.pointee.heartbeat = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_HEARTBEAT
    case .reduction(let reduction): write(reduction, into: envelope)
    case .evaluate(let evaluate): write(evaluate, into: envelope)
    case .grant(let lease, let keepsGradient):
      let c = make(Massl__Grant.self, massl__grant__init)
      c.pointee.lease = lease.number
      c.pointee.keeps_gradient = keepsGradient ? 1 : 0
      envelope.pointee.grant = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_GRANT
    case .cancel(let lease):
      let c = make(Massl__Cancel.self, massl__cancel__init)
      c.pointee.lease = lease.number
      envelope.pointee.cancel = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_CANCEL
    case .status(let json):
      let c = make(Massl__Status.self, massl__status__init)
      c.pointee.json = document(json)
      envelope.pointee.status = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_STATUS
    case .finished:
      envelope.pointee.run_finished = make(Massl__RunFinished.self, massl__run_finished__init)
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_RUN_FINISHED
    case .shardWelcome(let welcome):
      let c = make(Massl__ShardWelcome.self, massl__shard_welcome__init)
      c.pointee.configuration = document(welcome.configuration)
      c.pointee.bulk_port = UInt32(number(welcome.bulkPort, below: 65_536))
      c.pointee.rows = number(welcome.rows)
      envelope.pointee.shard_welcome = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_SHARD_WELCOME
    case .assignment(let assignment):
      envelope.pointee.assignment = write(assignment)
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_ASSIGNMENT
    case .memory(let json):
      let c = make(Massl__MemoryList.self, massl__memory_list__init)
      c.pointee.json = document(json)
      envelope.pointee.memory_list = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_MEMORY_LIST
    case .drain(let isAccepted, let text):
      let c = make(Massl__DrainAnswer.self, massl__drain_answer__init)
      c.pointee.is_accepted = isAccepted ? 1 : 0
      c.pointee.text = self.text(text, cutTo: WireLimits.sentence)
      envelope.pointee.drain_answer = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_DRAIN_ANSWER
    }
  }
}

// MARK: - Bulk

extension MessageMemory {
  func write(_ request: BulkRequest, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    switch request {
    case .weights(let network, let step, let offset, let count):
      let c = make(Massl__WeightsRequest.self, massl__weights_request__init)
      c.pointee.network = Massl__Network(rawValue: .init(network.rawValue))
      c.pointee.step = number(step)
      c.pointee.offset = number(offset)
      c.pointee.count = number(count, below: WireLimits.bulkFloats + 1)
      envelope.pointee.weights_request = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_WEIGHTS_REQUEST
    case .rows(let rows):
      let c = make(Massl__RowsRequest.self, massl__rows_request__init)
      c.pointee.step = number(rows.version.step)
      c.pointee.block = number(rows.block)
      c.pointee.first = number(rows.positions.lowerBound)
      c.pointee.count = number(rows.positions.count, below: WireLimits.rowsPerRequest + 1)
      invariant(rows.missing.count == (rows.positions.count + 7) / 8, "one bit a row")
      c.pointee.missing = bytes(rows.missing)
      c.pointee.rows = number(rows.version.rows)
      c.pointee.memory_floor = number(rows.version.floor)
      envelope.pointee.rows_request = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_ROWS_REQUEST
    case .picture(let index, let offset, let own):
      let c = make(Massl__PictureRequest.self, massl__picture_request__init)
      c.pointee.index = number(index)
      c.pointee.offset = number(offset)
      if let own {
        let identity = make(Massl__PictureIdentity.self, massl__picture_identity__init)
        identity.pointee.size = number(own.size)
        identity.pointee.digest = digest(own.digest)
        c.pointee.own = identity
      }
      envelope.pointee.picture_request = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_PICTURE_REQUEST
    case .push(let lease, let offset):
      let c = make(Massl__Push.self, massl__push__init)
      c.pointee.lease = lease.number
      c.pointee.offset = number(offset)
      envelope.pointee.push = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_PUSH
    case .records(let extent, let first, let count):
      let c = make(Massl__RecordsRequest.self, massl__records_request__init)
      c.pointee.extent = number(extent)
      c.pointee.first = number(first)
      c.pointee.count = number(count, below: WireLimits.rowsPerRequest + 1)
      envelope.pointee.records_request = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_RECORDS_REQUEST
    case .holders(let first, let count):
      let c = make(Massl__HoldersRequest.self, massl__holders_request__init)
      c.pointee.first = number(first)
      c.pointee.count = number(count, below: WireLimits.extentsPerRequest + 1)
      envelope.pointee.holders_request = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_HOLDERS_REQUEST
    case .weightSources(let step): writeWeightSourcesRequest(step, into: envelope)
    case .gradientHashes(let step, let slices): writeGradientHashesRequest(step: step, slices, into: envelope)
    case .gradient(let chunk): writeGradientRequest(chunk, into: envelope)
    case .sum(let reduction, let chunk): writeSum(reduction: reduction, chunk: chunk, into: envelope)
    }
  }

  func write(_ reply: BulkReply, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    switch reply {
    case .weights(let network, let step, let offset):
      let c = make(Massl__Weights.self, massl__weights__init)
      c.pointee.network = Massl__Network(rawValue: .init(network.rawValue))
      c.pointee.step = number(step)
      c.pointee.offset = number(offset)
      envelope.pointee.weights = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_WEIGHTS
    case .rows(let step, let block, let first):
      let c = make(Massl__Rows.self, massl__rows__init)
      c.pointee.step = number(step)
      c.pointee.block = number(block)
      c.pointee.first = number(first)
      envelope.pointee.rows = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_ROWS
    case .picture(let index, let offset, let total):
      let c = make(Massl__Picture.self, massl__picture__init)
      c.pointee.index = number(index)
      c.pointee.offset = number(offset)
      c.pointee.total = number(total)
      envelope.pointee.picture = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_PICTURE
    case .samePicture(let index):
      let c = make(Massl__SamePicture.self, massl__same_picture__init)
      c.pointee.index = number(index)
      envelope.pointee.same_picture = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_SAME_PICTURE
    case .pushed(let lease):
      let c = make(Massl__Pushed.self, massl__pushed__init)
      c.pointee.lease = lease.number
      envelope.pointee.pushed = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_PUSHED
    case .unavailable(let reason):
      let c = make(Massl__Unavailable.self, massl__unavailable__init)
      c.pointee.reason = text(reason, cutTo: WireLimits.sentence)
      envelope.pointee.unavailable = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_UNAVAILABLE
    case .records(let extent, let first):
      let c = make(Massl__Records.self, massl__records__init)
      c.pointee.extent = number(extent)
      c.pointee.first = number(first)
      envelope.pointee.records = c
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_RECORDS
    case .holders(let table):
      envelope.pointee.holders = write(table)
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_HOLDERS
    case .weightSources(let sources): write(sources, into: envelope)
    case .gradientHashes(let step, let slices): writeGradientHashes(step: step, slices, into: envelope)
    case .gradient(let chunk): writeGradient(chunk, into: envelope)
    case .summed(let reduction, let chunk): writeSummed(reduction: reduction, chunk: chunk, into: envelope)
    }
  }
}
