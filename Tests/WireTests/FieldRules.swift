import Messages
import Numerics

/// What one field may hold: what stands in a valid message, what is at its bounds, and what is one beyond each of them.
struct FieldRule {
  /// Another content of a message's fields, by path from the envelope.
  typealias Change = [(path: String, values: [WireValue])]

  var valid: [WireValue]
  /// Contents of the field alone, or of others too where they have to agree; all are accepted.
  var accepted: [Change] = []
  /// What is refused, and what the refusal says.
  var refused: [(change: Change, says: String)] = []
}

/// The table: a line a field. A new field of massl.proto needs one here; what is one beyond a bound follows from it.
struct FieldRules {
  let schema: MessageSchema
  var rules: [String: FieldRule] = [:]
  /// Lists of messages: how many there may be.
  var counts: [String: (least: Int, most: Int)] = [:]

  init() throws {
    schema = try MessageSchema()
    envelope()
    worker()
    coordinator()
    bulk()
    shards()
    countMessages()
  }

  // MARK: - The table

  private mutating func envelope() {
    // More than that is no bad field, but another massl.
    field("protocol_version", .numbers(1...UInt64(WireLimits.protocolVersion), over: "speaks protocol"))
    field("run", .digest)
    any("incarnation", "every start has another")
    any("peer", "64 bits of the sender's choosing; that they are the connection's is a test of its own")
    any("exchange", "a number of the asker's choosing")
  }

  private mutating func worker() {
    any("hello.protocol_version", "compared with the coordinator's, and refused with a sentence")
    field("hello.name", .text(WireLimits.shortText))
    field("hello.threads", .numbers(1...UInt64(WireLimits.threads)))
    field("hello.probe", .digest)
    field("hello.host", .text(WireLimits.shortText))
    field("hello.openblas", .text(WireLimits.shortText))
    field("hello.libjpeg", .text(WireLimits.shortText))
    field("hello.onednn", .text(WireLimits.shortText))
    address("hello.address", isRequired: false)
    any("hello.evaluates", Self.yesOrNo)

    field("ready.idle_threads", .numbers(0...UInt64(WireLimits.threads)))
    field("ready.held", .count(of: .varint(7), atMost: WireLimits.heldLeases))
    field("ready.gradients", .numbers(0...UInt64(WireLimits.gradientsKept)))

    any("finished.lease", Self.anyLease)
    field("finished.step", .step)
    slices("finished.slices", agreesWith: ["finished.consistency", "finished.koleo", "finished.target_entropy"])
    field("finished.payload", .digest)
    field("finished.payload_count", .offset)
    perSlice("finished.consistency")
    perSlice("finished.koleo")
    perSlice("finished.target_entropy")
    undecodable("finished.undecodable")
    field("finished.chosen", .bytes(atMost: WireLimits.chosenBytes))
    field("finished.rows_cached", .offset)
    field("finished.rows_fetched", .offset)
    field("finished.rows_waited_us", .offset)
    field("finished.weights_us", .offset)
    // Both or none.
    rules["finished.gradient"] = FieldRule(valid: [.zeros(16)])
    rules["finished.gradient_hash"] = FieldRule(valid: [.zeros(16)])
    accept([("finished.gradient", []), ("finished.gradient_hash", [])])
    for (field, sizes) in [("finished.gradient", [0, 15, 17]), ("finished.gradient_hash", [0, 15, 17])] {
      for size in sizes { refuse([(field, [.zeros(size)])], saying: "'\(field)'") }
    }

    any("returned.lease", Self.anyLease)
    field("returned.reason", .text(WireLimits.sentence))
    undecodable("returned.undecodable")
    any("returned.is_passing", Self.yesOrNo)

    any("reduction_failed.number", "a number of the coordinator's, compared alone")
    chunks("reduction_failed.chunks")
    field("reduction_failed.reason", .text(WireLimits.sentence))

    any("evaluated.lease", Self.anyLease)
    let pictures = UInt64(WireLimits.evaluationPictures)
    func count(_ field: String, _ value: UInt64) -> (path: String, values: [WireValue]) {
      ("evaluated.\(field)", [.varint(min(value, pictures))])
    }
    field("evaluated.pictures", .numbers(0...pictures))
    for figure in ["rank_me", "lidar", "alpha_req"] { finite("evaluated.\(figure)") }
    field("evaluated.asked", .numbers(0...pictures), agreeing: { [count("pictures", $0)] })
    field("evaluated.right", .numbers(0...pictures), agreeing: { [count("asked", $0), count("pictures", $0)] })
    refuse([count("right", 3), count("asked", 2), count("pictures", 9)], saying: "'evaluated.right'")
    refuse([count("asked", 3), count("pictures", 2)], saying: "'evaluated.asked'")

    field("memory_request.drain", .text(WireLimits.shortText))
    field("memory_request.stay", .text(WireLimits.shortText))
    refuse(
      [("memory_request.drain", [.text("a")]), ("memory_request.stay", [.text("a")])], saying: "'memory_request.stay'")
  }

  private mutating func coordinator() {
    field("welcome.configuration", .text(WireLimits.document))
    field("welcome.bulk_port", .numbers(1...65_535))
    field("welcome.data_count", .offset)
    field("welcome.data_digest", .digest)
    field("welcome.rows", .offset)

    field("refusal.reason", .value(of: "RefusalReason"))
    field("refusal.text", .text(WireLimits.sentence))

    any("lease.lease", Self.anyLease)
    field("lease.step", .step)
    slices("lease.slices")
    field("lease.student", .digest)
    field("lease.teacher", .digest)
    field("lease.rows", .offset)
    field("lease.memory_floor", .offset)
    any("lease.holders_version", "a number of the coordinator's, compared alone")
    rules["lease.lost"] = FieldRule(valid: [])
    let most = UInt64(WireLimits.lostPictures)
    for lost in [[Self.largest], Array(0..<most)] { accept([("lease.lost", lost.map { .varint($0) })]) }
    for lost in [[Self.largest + 1], [.max], [5, 5], [6, 5], Array(0...most)] {
      refuse([("lease.lost", lost.map { .varint($0) })], saying: "'lease.lost'")
    }

    any("lease.exchanges_weights", Self.yesOrNo)
    any("lease.hashes_gradient", Self.yesOrNo)

    field("heartbeat.step", .step)
    any("grant.lease", Self.anyLease)
    any("grant.keeps_gradient", Self.yesOrNo)
    any("cancel.lease", Self.anyLease)

    any("evaluate.lease", Self.anyLease)
    field("evaluate.step", .step)
    field("evaluate.teacher", .digest)
    rules["evaluate.pictures"] = FieldRule(valid: [.varint(0)])
    let pictures = UInt64(WireLimits.evaluationPictures)
    for chosen in [[Self.largest], Array(0..<pictures)] { accept([("evaluate.pictures", chosen.map { .varint($0) })]) }
    for chosen in [[], [Self.largest + 1], [.max], [5, 5], [6, 5], Array(0...pictures)] {
      refuse([("evaluate.pictures", chosen.map { .varint($0) })], saying: "'evaluate.pictures'")
    }
    field("evaluate.classes", .numbers(0...UInt64(WireLimits.classes - 1)))
    rules["evaluate.classes"]?.valid = []
    refuse([("evaluate.classes", [.varint(1), .varint(1)])], saying: "'evaluate.classes'")
    field("status.json", .text(WireLimits.document))

    field("reduction.step", .step)
    any("reduction.number", "the coordinator's own count")
    messages("reduction.gradients", atLeast: 1, atMost: WireLimits.gradientsReduced)
    slices("reduction.gradients.slices")
    rules["reduction.gradients.hash"] = FieldRule(valid: [.zeros(16)])
    for size in [0, 15, 17] {
      refuse([("reduction.gradients.hash", [.zeros(size)])], saying: "'reduction.gradients.hash'")
    }
    messages("reduction.gradients.holders", atMost: WireLimits.gradientHolders)
    endpoint("reduction.gradients.holders.endpoint")
    key("reduction.gradients.holders.key")
    // Without a holder the coordinator has it, and needs no hash.
    accept([("reduction.gradients.holders", []), ("reduction.gradients.hash", [])])
    refuse([("reduction.gradients.holders", [])], saying: "'reduction.gradients.hash'")
    chunks("reduction.chunks")
  }

  private mutating func bulk() {
    field("weights_request.network", .value(of: "Network"))
    field("weights_request.step", .step)
    field("weights_request.offset", .offset)
    field("weights_request.count", .numbers(1...UInt64(WireLimits.bulkFloats)))

    field("rows_request.step", .step)
    field("rows_request.block", .offset)
    field("rows_request.first", .offset)
    let rows = UInt64(WireLimits.rowsPerRequest)
    field(
      "rows_request.count", .numbers(1...rows),
      agreeing: { [("rows_request.missing", [.zeros(Int((min($0, rows + 1) + 7) / 8))])] })
    rules["rows_request.missing"] = FieldRule(valid: [.zeros(1)])
    for (bytes, count): ([UInt8], Int) in [
      ([], 1), ([0, 0], 8), ([0], 9), ([0, 0, 0], 16), ([2], 1), ([0, 0x80], 15),
    ] {
      refuse(
        [("rows_request.missing", [.bytes(bytes)]), ("rows_request.count", [.varint(UInt64(count))])],
        saying: "'rows_request.missing'")
    }
    for (bytes, count): ([UInt8], Int) in [([1], 1), ([0xFF], 8), ([0xFF, 1], 9), ([0xFF, 0x7F], 15)] {
      rules["rows_request.missing"]?.accepted.append(
        [("rows_request.missing", [.bytes(bytes)]), ("rows_request.count", [.varint(UInt64(count))])])
    }
    field("rows_request.rows", .offset)
    field("rows_request.memory_floor", .offset)

    field("picture_request.index", .offset)
    field("picture_request.offset", .offset)
    message("picture_request.own", isRequired: false)
    field("picture_request.own.size", .offset)
    field("picture_request.own.digest", .digest)

    any("push.lease", Self.anyLease)
    field("push.offset", .offset)

    field("weights.network", .value(of: "Network"))
    field("weights.step", .step)
    field("weights.offset", .offset)
    field("rows.step", .step)
    field("rows.block", .offset)
    field("rows.first", .offset)
    field("picture.index", .offset)
    field("picture.total", .numbers(1...Self.largest))
    field(
      "picture.offset", .numbers(0...(Self.largest - 1)),
      agreeing: { [("picture.total", [.varint(min($0, Self.largest - 1) + 1)])] })
    refuse([("picture.offset", [.varint(9)]), ("picture.total", [.varint(9)])], saying: "'picture.offset'")
    field("same_picture.index", .offset)
    any("pushed.lease", Self.anyLease)
    field("unavailable.reason", .text(WireLimits.sentence))

    for message in ["gradient_hashes_request", "gradient_hashes", "gradient_request", "gradient"] {
      field("\(message).step", .step)
      slices("\(message).slices")
    }
    for message in ["gradient_request", "gradient", "sum", "summed"] {
      field("\(message).chunk", .numbers(0...UInt64(WireLimits.gradientChunks - 1)))
    }
    for message in ["sum", "summed"] { any("\(message).number", "a number of the coordinator's, compared alone") }

    field("weight_sources_request.step", .step)
    field("weight_sources.step", .step)
    messages("weight_sources.sources", atLeast: 1, atMost: WireLimits.weightSources)
    endpoint("weight_sources.sources.endpoint")
    key("weight_sources.sources.key")
    let hashes = WireLimits.weightChunks * ContentHash.byteCount
    rules["weight_sources.hashes"] = FieldRule(valid: [.zeros(ContentHash.byteCount)])
    accept([("weight_sources.hashes", [.zeros(hashes)])])
    for count in [0, 15, 17, hashes - 1, hashes + ContentHash.byteCount] {
      refuse([("weight_sources.hashes", [.zeros(count)])], saying: "'weight_sources.hashes'")
    }
  }

  private mutating func shards() {
    any("shard_hello.protocol_version", "compared with the coordinator's, and refused with a sentence")
    field("shard_hello.name", .text(WireLimits.shortText))
    field("shard_hello.shard", .digest)
    address("shard_hello.address")
    field("shard_hello.capacity", .offset)
    rules["shard_hello.after"] = FieldRule(valid: [.fixed(1)])
    elements("shard_hello.held", atMost: WireLimits.extentsPerShard, agreesWith: [("shard_hello.after", .fixed(1))])
    any("shard_hello.changes", "the shard's own count")

    rules["shard_report.first"] = FieldRule(
      valid: [.varint(0)], accepted: [[("shard_report.first", [.varint(.max - 1)])]])
    refuse([("shard_report.first", [.varint(.max)])], saying: "'shard_report.first'")
    field("shard_report.states", .value(of: "ExtentState"))
    rules["shard_report.after"] = FieldRule(valid: [.fixed(1)])
    elements(
      "shard_report.changed", atMost: WireLimits.extentsPerShard,
      agreesWith: [("shard_report.states", .varint(1)), ("shard_report.after", .fixed(1))])
    field("shard_report.used", .offset)
    field("shard_report.capacity", .offset)
    any("shard_report.is_full", Self.yesOrNo)
    field("shard_report.served_rows", .numbers(0...UInt64(Int.max - 1)))
    field("shard_report.served_bytes", .numbers(0...UInt64(Int.max - 1)))
    any("shard_report.assignment", "a number of the coordinator's, compared alone")
    field("shard_report.problem", .text(WireLimits.sentence))

    field("shard_welcome.configuration", .text(WireLimits.document))
    field("shard_welcome.bulk_port", .numbers(1...65_535))
    field("shard_welcome.rows", .offset)

    any("assignment.number", "the coordinator's own count")
    any("assignment.heard", "a number of the shard's, compared alone")
    messages("assignment.extents", atMost: WireLimits.extentsAssigned)
    message("assignment.extents.extent", isRequired: true)
    field("assignment.extents.extent.index", .offset)
    field("assignment.extents.extent.before", .digest)
    field("assignment.extents.extent.after", .digest)
    messages("assignment.extents.sources", atLeast: 1, atMost: WireLimits.sources)
    endpoint("assignment.extents.sources.endpoint")
    key("assignment.extents.sources.key")
    // Without an endpoint the source is the coordinator, whose key a shard has.
    accept([("assignment.extents.sources.endpoint", []), ("assignment.extents.sources.key", [])])
    refuse(
      [("assignment.extents.sources.endpoint", []), ("assignment.extents.sources.key", [.zeros(32)])],
      saying: "'assignment.extents.sources.key'")
    elements("assignment.removed", atMost: WireLimits.extentsAssigned)

    field("memory_list.json", .text(WireLimits.document))
    any("drain_answer.is_accepted", Self.yesOrNo)
    field("drain_answer.text", .text(WireLimits.sentence))

    field("records_request.extent", .offset)
    field("records_request.first", .offset)
    field("records_request.count", .numbers(1...UInt64(WireLimits.rowsPerRequest)))
    field("records.extent", .offset)
    field("records.first", .offset)

    field("holders_request.first", .offset)
    field("holders_request.count", .numbers(1...UInt64(WireLimits.extentsPerRequest)))
    any("holders.version", "a number of the coordinator's, compared alone")
    field("holders.first", .offset)
    messages("holders.shards", atMost: WireLimits.shards)
    endpoint("holders.shards.endpoint")
    key("holders.shards.key")
    let holders = UInt64(WireLimits.holders)
    field(
      "holders.counts", .numbers(0...holders),
      agreeing: { [("holders.indices", [WireValue](repeating: .varint(0), count: Int(min($0, holders + 1))))] })
    rules["holders.counts"]?.valid = [.varint(1)]
    let extents = [WireValue](repeating: .varint(0), count: WireLimits.extentsPerRequest)
    accept([("holders.counts", extents), ("holders.indices", [])])
    accept([("holders.shards", []), ("holders.counts", []), ("holders.indices", [])])
    refuse([("holders.counts", extents + [.varint(0)]), ("holders.indices", [])], saying: "'holders.counts'")
    rules["holders.indices"] = FieldRule(valid: [.varint(0)])
    for indices: [UInt64] in [[], [0, 0], [1], [UInt64(UInt32.max)]] {
      refuse([("holders.indices", indices.map { .varint($0) })], saying: "'holders.indices'")
    }
  }

  private static let anyLease = "whether there is such a lease is for the receiver's state to say"
  private static let yesOrNo = "yes or no"
  private static let largest = UInt64(WireLimits.offset - 1)
}
