internal import CMessages
internal import CProtobufC
import Glibc
import MemoryBank
import Messages
import Numerics
import Slices

// From a peer's bytes to checked values. protobuf-c checks the framing and nothing else: lengths, ranges, UTF-8,
// finiteness and enum values are checked here, each by one line that names the field.

extension Envelope {
  /// Reads one envelope frame.
  ///
  /// - Parameters:
  ///   - peer: whose connection brought it; the envelope must claim the same. Nil where the connection has no id,
  ///     as a worker's to its coordinator.
  /// - Throws: `WireError`: `newerProtocol` before anything else is looked at, `notAnEnvelope`, `noBody`, `badField`,
  ///   `otherPeer`.
  /// - Complexity: allocates at most `WireLimits.unpackedBytes`, whatever the bytes say.
  public init(decoding bytes: UnsafeRawBufferPointer, from peer: PeerID? = nil) throws(WireError) {
    guard bytes.count <= WireLimits.envelopeBytes, let start = bytes.bindMemory(to: UInt8.self).baseAddress else {
      throw .notAnEnvelope(peer: peer, bytes: bytes.count)
    }
    let allowance = UnpackAllowance(bytes: WireLimits.unpackedBytes)

    // 1. The version alone: bodies of a newer protocol need not even parse.
    guard let head = massl__envelope_head__unpack(allowance.allocator, bytes.count, start) else {
      throw .notAnEnvelope(peer: peer, bytes: bytes.count)
    }
    let version = head.pointee.protocol_version
    massl__envelope_head__free_unpacked(head, allowance.allocator)
    guard version <= WireLimits.protocolVersion else { throw .newerProtocol(peer: peer, version: version) }

    // 2. The rest.
    guard let unpacked = massl__envelope__unpack(allowance.allocator, bytes.count, start) else {
      throw .notAnEnvelope(peer: peer, bytes: bytes.count)
    }
    defer { massl__envelope__free_unpacked(unpacked, allowance.allocator) }
    try self.init(checking: unpacked.pointee, reader: FieldReader(peer: peer))
  }

  /// The number of the exchange that a message is of, so that what cannot be read in whole can be answered; 0 if that
  /// cannot be read either.
  static func exchange(in bytes: UnsafeRawBufferPointer) -> UInt64 {
    guard let start = bytes.bindMemory(to: UInt8.self).baseAddress else { return 0 }
    let allowance = UnpackAllowance(bytes: WireLimits.unpackedBytes)
    guard let head = massl__envelope_head__unpack(allowance.allocator, bytes.count, start) else { return 0 }
    defer { massl__envelope_head__free_unpacked(head, allowance.allocator) }
    return head.pointee.exchange
  }

  public init(decoding bytes: [UInt8], from peer: PeerID? = nil) throws(WireError) {
    // withUnsafeBytes rethrows untyped.
    let result: Result<Envelope, WireError> = bytes.withUnsafeBytes { bytes in
      do throws(WireError) {
        return .success(try Envelope(decoding: bytes, from: peer))
      } catch {
        return .failure(error)
      }
    }
    self = try result.get()
  }

  private init(checking c: Massl__Envelope, reader: FieldReader) throws(WireError) {
    guard c.protocol_version >= 1 else { throw reader.bad("protocol_version", "is 0") }
    let run = try reader.digest(c.run, "run")
    let claimed = PeerID(rawValue: c.peer)
    if let peer = reader.peer, peer != claimed { throw .otherPeer(connection: peer, claimed: claimed) }
    let sender = Sender(run: RunIdentity(run), incarnation: Incarnation(c.incarnation), peer: claimed)
    self.init(sender: sender, message: try reader.message(c), exchange: c.exchange)
  }
}

/// Reads fields of unpacked messages; a field that it refuses is named together with the peer.
struct FieldReader {
  let peer: PeerID?

  func bad(_ field: String, _ problem: String) -> WireError { .badField(peer: peer, field: field, problem: problem) }

  func message(_ c: Massl__Envelope) throws(WireError) -> Message {
    switch c.body_case {
    case MASSL__ENVELOPE__BODY_HELLO: .worker(.hello(try hello(c.hello.pointee)))
    case MASSL__ENVELOPE__BODY_READY: .worker(.ready(try ready(c.ready.pointee)))
    case MASSL__ENVELOPE__BODY_FINISHED: .worker(.finished(try finished(c.finished.pointee)))
    case MASSL__ENVELOPE__BODY_RETURNED:
      .worker(
        .returned(
          Returned(
            lease: LeaseID(c.returned.pointee.lease),
            reason: try text(c.returned.pointee.reason, "returned.reason", WireLimits.sentence),
            undecodable: try undecodable(
              c.returned.pointee.undecodable, c.returned.pointee.n_undecodable, "returned.undecodable"),
            isPassing: c.returned.pointee.is_passing != 0)))
    case MASSL__ENVELOPE__BODY_STATUS_REQUEST: .worker(.statusRequest)
    case MASSL__ENVELOPE__BODY_GOODBYE: .worker(.goodbye)
    case MASSL__ENVELOPE__BODY_REDUCTION_FAILED:
      .worker(.reductionFailed(try reductionFailed(c.reduction_failed.pointee)))
    case MASSL__ENVELOPE__BODY_EVALUATED: .worker(.evaluated(try evaluated(c.evaluated.pointee)))

    case MASSL__ENVELOPE__BODY_SHARD_HELLO: .shard(.hello(try shardHello(c.shard_hello.pointee)))
    case MASSL__ENVELOPE__BODY_SHARD_REPORT: .shard(.report(try shardReport(c.shard_report.pointee)))
    case MASSL__ENVELOPE__BODY_SHARD_GOODBYE: .shard(.goodbye)
    case MASSL__ENVELOPE__BODY_MEMORY_REQUEST: .worker(try memoryRequest(c.memory_request.pointee))

    case MASSL__ENVELOPE__BODY_WELCOME: .coordinator(.welcome(try welcome(c.welcome.pointee)))
    case MASSL__ENVELOPE__BODY_REFUSAL: .coordinator(.refusal(try refusal(c.refusal.pointee)))
    case MASSL__ENVELOPE__BODY_LEASE: .coordinator(.lease(try lease(c.lease.pointee)))
    case MASSL__ENVELOPE__BODY_HEARTBEAT:
      .coordinator(.heartbeat(step: try step(c.heartbeat.pointee.step, "heartbeat.step")))
    case MASSL__ENVELOPE__BODY_GRANT:
      .coordinator(.grant(LeaseID(c.grant.pointee.lease), keepsGradient: c.grant.pointee.keeps_gradient != 0))
    case MASSL__ENVELOPE__BODY_REDUCTION: .coordinator(.reduction(try reduction(c.reduction.pointee)))
    case MASSL__ENVELOPE__BODY_EVALUATE: .coordinator(.evaluate(try evaluate(c.evaluate.pointee)))
    case MASSL__ENVELOPE__BODY_CANCEL: .coordinator(.cancel(LeaseID(c.cancel.pointee.lease)))
    case MASSL__ENVELOPE__BODY_STATUS:
      .coordinator(.status(json: try text(c.status.pointee.json, "status.json", WireLimits.document)))
    case MASSL__ENVELOPE__BODY_RUN_FINISHED: .coordinator(.finished)
    case MASSL__ENVELOPE__BODY_SHARD_WELCOME: .coordinator(.shardWelcome(try shardWelcome(c.shard_welcome.pointee)))
    case MASSL__ENVELOPE__BODY_ASSIGNMENT: .coordinator(.assignment(try assignment(c.assignment.pointee)))
    case MASSL__ENVELOPE__BODY_MEMORY_LIST:
      .coordinator(.memory(json: try text(c.memory_list.pointee.json, "memory_list.json", WireLimits.document)))
    case MASSL__ENVELOPE__BODY_DRAIN_ANSWER:
      .coordinator(
        .drain(
          isAccepted: c.drain_answer.pointee.is_accepted != 0,
          text: try text(c.drain_answer.pointee.text, "drain_answer.text", WireLimits.sentence)))

    case MASSL__ENVELOPE__BODY_WEIGHTS_REQUEST: .bulkRequest(try weightsRequest(c.weights_request.pointee))
    case MASSL__ENVELOPE__BODY_ROWS_REQUEST: .bulkRequest(try rowsRequest(c.rows_request.pointee))
    case MASSL__ENVELOPE__BODY_PICTURE_REQUEST: .bulkRequest(try pictureRequest(c.picture_request.pointee))
    case MASSL__ENVELOPE__BODY_PUSH:
      .bulkRequest(
        .push(lease: LeaseID(c.push.pointee.lease), offset: try offset(c.push.pointee.offset, "push.offset")))
    case MASSL__ENVELOPE__BODY_RECORDS_REQUEST: .bulkRequest(try recordsRequest(c.records_request.pointee))
    case MASSL__ENVELOPE__BODY_HOLDERS_REQUEST: .bulkRequest(try holdersRequest(c.holders_request.pointee))
    case MASSL__ENVELOPE__BODY_WEIGHT_SOURCES_REQUEST:
      .bulkRequest(
        .weightSources(step: try step(c.weight_sources_request.pointee.step, "weight_sources_request.step")))
    case MASSL__ENVELOPE__BODY_GRADIENT_HASHES_REQUEST:
      .bulkRequest(
        .gradientHashes(
          step: try step(c.gradient_hashes_request.pointee.step, "gradient_hashes_request.step"),
          slices: try slices(c.gradient_hashes_request.pointee.slices, "gradient_hashes_request.slices")))
    case MASSL__ENVELOPE__BODY_GRADIENT_REQUEST: .bulkRequest(try gradientRequest(c.gradient_request.pointee))
    case MASSL__ENVELOPE__BODY_SUM:
      .bulkRequest(.sum(reduction: c.sum.pointee.number, chunk: try chunk(c.sum.pointee.chunk, "sum.chunk")))

    case MASSL__ENVELOPE__BODY_WEIGHTS:
      .bulkReply(
        .weights(
          network: try network(c.weights.pointee.network, "weights.network"),
          step: try step(c.weights.pointee.step, "weights.step"),
          offset: try offset(c.weights.pointee.offset, "weights.offset")))
    case MASSL__ENVELOPE__BODY_ROWS:
      .bulkReply(
        .rows(
          step: try step(c.rows.pointee.step, "rows.step"), block: try offset(c.rows.pointee.block, "rows.block"),
          first: try offset(c.rows.pointee.first, "rows.first")))
    case MASSL__ENVELOPE__BODY_PICTURE: .bulkReply(try picture(c.picture.pointee))
    case MASSL__ENVELOPE__BODY_SAME_PICTURE:
      .bulkReply(.samePicture(index: try offset(c.same_picture.pointee.index, "same_picture.index")))
    case MASSL__ENVELOPE__BODY_PUSHED: .bulkReply(.pushed(LeaseID(c.pushed.pointee.lease)))
    case MASSL__ENVELOPE__BODY_UNAVAILABLE:
      .bulkReply(
        .unavailable(reason: try text(c.unavailable.pointee.reason, "unavailable.reason", WireLimits.sentence)))
    case MASSL__ENVELOPE__BODY_RECORDS:
      .bulkReply(
        .records(
          extent: try offset(c.records.pointee.extent, "records.extent"),
          first: try offset(c.records.pointee.first, "records.first")))
    case MASSL__ENVELOPE__BODY_HOLDERS: .bulkReply(.holders(try holders(c.holders.pointee)))
    case MASSL__ENVELOPE__BODY_WEIGHT_SOURCES:
      .bulkReply(.weightSources(try weightSources(c.weight_sources.pointee)))
    case MASSL__ENVELOPE__BODY_GRADIENT_HASHES:
      .bulkReply(
        .gradientHashes(
          step: try step(c.gradient_hashes.pointee.step, "gradient_hashes.step"),
          slices: try slices(c.gradient_hashes.pointee.slices, "gradient_hashes.slices")))
    case MASSL__ENVELOPE__BODY_GRADIENT: .bulkReply(try gradient(c.gradient.pointee))
    case MASSL__ENVELOPE__BODY_SUMMED:
      .bulkReply(
        .summed(reduction: c.summed.pointee.number, chunk: try chunk(c.summed.pointee.chunk, "summed.chunk")))
    default: throw .noBody(peer: peer)
    }
  }
}

// MARK: - Control

extension FieldReader {
  func hello(_ c: Massl__Hello) throws(WireError) -> Hello {
    let name = try text(c.name, "hello.name", WireLimits.shortText)
    let host = try text(c.host, "hello.host", WireLimits.shortText)
    return Hello(
      protocolVersion: c.protocol_version, name: name, host: host.isEmpty ? name : host,
      threads: try number(UInt64(c.threads), "hello.threads", 1...WireLimits.threads),
      probe: try digest(c.probe, "hello.probe"),
      libraries: LibraryVersions(
        openBLAS: try text(c.openblas, "hello.openblas", WireLimits.shortText),
        libjpeg: try text(c.libjpeg, "hello.libjpeg", WireLimits.shortText),
        oneDNN: try text(c.onednn, "hello.onednn", WireLimits.shortText)),
      address: c.address == nil ? nil : try address(c.address, "hello.address"), evaluates: c.evaluates != 0)
  }

  func ready(_ c: Massl__Ready) throws(WireError) -> Ready {
    guard c.n_held <= WireLimits.heldLeases else {
      throw bad("ready.held", "has \(c.n_held) leases, more than \(WireLimits.heldLeases)")
    }
    return Ready(
      idleThreads: try number(UInt64(c.idle_threads), "ready.idle_threads", 0...WireLimits.threads),
      held: UnsafeBufferPointer(start: c.held, count: c.n_held).map { LeaseID($0) },
      gradients: try number(UInt64(c.gradients), "ready.gradients", 0...WireLimits.gradientsKept))
  }

  func welcome(_ c: Massl__Welcome) throws(WireError) -> Welcome {
    Welcome(
      configuration: try text(c.configuration, "welcome.configuration", WireLimits.document),
      bulkPort: try number(UInt64(c.bulk_port), "welcome.bulk_port", 1...65_535),
      data: DataIdentity(
        count: try offset(c.data_count, "welcome.data_count"),
        digest: try digest(c.data_digest, "welcome.data_digest")),
      rows: try offset(c.rows, "welcome.rows"))
  }

  func refusal(_ c: Massl__Refusal) throws(WireError) -> Refusal {
    guard let reason = Refusal.Reason(rawValue: UInt32(truncatingIfNeeded: c.reason.rawValue)) else {
      throw bad("refusal.reason", "has the unknown value \(c.reason.rawValue)")
    }
    return Refusal(reason: reason, text: try text(c.text, "refusal.text", WireLimits.sentence))
  }

  func lease(_ c: Massl__Lease) throws(WireError) -> Lease {
    Lease(
      lease: LeaseID(c.lease), step: try step(c.step, "lease.step"), slices: try slices(c.slices, "lease.slices"),
      student: try digest(c.student, "lease.student"), teacher: try digest(c.teacher, "lease.teacher"),
      rows: try offset(c.rows, "lease.rows"), memoryFloor: try offset(c.memory_floor, "lease.memory_floor"),
      holdersVersion: c.holders_version, lost: try lost(c), exchangesWeights: c.exchanges_weights != 0,
      hashesGradient: c.hashes_gradient != 0)
  }

  private func lost(_ c: Massl__Lease) throws(WireError) -> [Int] {
    guard c.n_lost <= WireLimits.lostPictures else {
      throw bad("lease.lost", "names \(c.n_lost) pictures, more than \(WireLimits.lostPictures)")
    }
    var lost: [Int] = []
    for index in 0..<c.n_lost { lost.append(try offset(c.lost[index], "lease.lost")) }
    guard zip(lost, lost.dropFirst()).allSatisfy({ $0 < $1 }) else { throw bad("lease.lost", "does not ascend") }
    return lost
  }
}

// MARK: - Bulk

extension FieldReader {
  func weightsRequest(_ c: Massl__WeightsRequest) throws(WireError) -> BulkRequest {
    .weights(
      network: try network(c.network, "weights_request.network"), step: try step(c.step, "weights_request.step"),
      offset: try offset(c.offset, "weights_request.offset"),
      count: try number(c.count, "weights_request.count", 1...WireLimits.bulkFloats))
  }

  func rowsRequest(_ c: Massl__RowsRequest) throws(WireError) -> BulkRequest {
    let count = try number(c.count, "rows_request.count", 1...WireLimits.rowsPerRequest)
    let missing = Array(UnsafeBufferPointer(start: c.missing.data, count: c.missing.len))
    guard missing.count == (count + 7) / 8 else {
      throw bad("rows_request.missing", "has \(missing.count) bytes for \(count) rows")
    }
    if count % 8 != 0, missing[missing.count - 1] >> UInt8(count % 8) != 0 {
      throw bad("rows_request.missing", "has bits past its \(count) rows")
    }
    let version = MemoryVersion(
      step: try step(c.step, "rows_request.step"), rows: try offset(c.rows, "rows_request.rows"),
      floor: try offset(c.memory_floor, "rows_request.memory_floor"))
    let block = try offset(c.block, "rows_request.block")
    let first = try offset(c.first, "rows_request.first")
    return .rows(RowRequest(version: version, block: block, positions: first..<(first + count), missing: missing))
  }

  func pictureRequest(_ c: Massl__PictureRequest) throws(WireError) -> BulkRequest {
    var own: PictureIdentity?
    if let given = c.own?.pointee {
      own = PictureIdentity(
        size: try offset(given.size, "picture_request.own.size"),
        digest: try digest(given.digest, "picture_request.own.digest"))
    }
    return .picture(
      index: try offset(c.index, "picture_request.index"), offset: try offset(c.offset, "picture_request.offset"),
      own: own)
  }

  func picture(_ c: Massl__Picture) throws(WireError) -> BulkReply {
    let total = try number(c.total, "picture.total", 1...(WireLimits.offset - 1))
    let start = try offset(c.offset, "picture.offset")
    guard start < total else { throw bad("picture.offset", "is \(start), past its \(total) bytes") }
    return .picture(index: try offset(c.index, "picture.index"), offset: start, total: total)
  }
}

// MARK: - Single fields

extension FieldReader {
  func number(_ value: UInt64, _ field: String, _ range: ClosedRange<Int>) throws(WireError) -> Int {
    guard let number = Int(exactly: value), range.contains(number) else {
      throw bad(field, "is \(value), not in \(range.lowerBound)...\(range.upperBound)")
    }
    return number
  }

  func step(_ value: UInt64, _ field: String) throws(WireError) -> Int {
    try number(value, field, 0...(WireLimits.step - 1))
  }

  func offset(_ value: UInt64, _ field: String) throws(WireError) -> Int {
    try number(value, field, 0...(WireLimits.offset - 1))
  }

  /// At least one slice, and none past the limit of a step.
  func slices(_ c: UnsafeMutablePointer<Massl__Slices>?, _ field: String) throws(WireError) -> SliceRange {
    guard let c = c?.pointee else { throw bad(field, "is missing") }
    let first = try number(c.first, field + ".first", 0...(WireLimits.slicesPerStep - 1))
    let count = try number(c.count, field + ".count", 1...(WireLimits.slicesPerStep - first))
    return SliceRange(first: first, count: count)
  }

  func digest(_ c: ProtobufCBinaryData, _ field: String) throws(WireError) -> Digest {
    guard c.len == 16, let data = c.data else { throw bad(field, "has \(c.len) bytes, not 16") }
    let bytes = UnsafeRawBufferPointer(start: data, count: 16)
    return Digest(
      high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
      low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }

  func network(_ c: Massl__Network, _ field: String) throws(WireError) -> Network {
    guard let network = Network(rawValue: UInt32(truncatingIfNeeded: c.rawValue)) else {
      throw bad(field, "has the unknown value \(c.rawValue)")
    }
    return network
  }

  /// protobuf-c gives strings as they came, NUL-terminated, UTF-8 or not.
  func text(_ c: UnsafeMutablePointer<CChar>?, _ field: String, _ limit: Int) throws(WireError) -> String {
    guard let c else { return "" }
    let bytes = UnsafeBufferPointer(start: c, count: strlen(c))
    guard bytes.count <= limit else { throw bad(field, "has \(bytes.count) bytes, more than \(limit)") }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw bad(field, "is not UTF-8") }
    return text
  }
}
