internal import CMessages
internal import CProtobufC
import Messages
import Numerics

// What memory shards say and hear, from protobuf.

// MARK: - Control

extension FieldReader {
  func shardHello(_ c: Massl__ShardHello) throws(WireError) -> ShardHello {
    guard c.n_held <= WireLimits.extentsPerShard else {
      throw bad("shard_hello.held", "has \(c.n_held) extents, more than \(WireLimits.extentsPerShard)")
    }
    guard c.n_after == c.n_held else {
      throw bad("shard_hello.after", "has \(c.n_after) digests for \(c.n_held) extents")
    }
    var held: [HeldExtent] = []
    held.reserveCapacity(c.n_held)
    for index in 0..<c.n_held {
      held.append(HeldExtent(index: try offset(c.held[index], "shard_hello.held"), after: c.after[index]))
    }
    let shard = try digest(c.shard, "shard_hello.shard")
    return ShardHello(
      protocolVersion: c.protocol_version, name: try text(c.name, "shard_hello.name", WireLimits.shortText),
      shard: ShardID(shard), address: try address(c.address, "shard_hello.address"),
      capacity: try offset(c.capacity, "shard_hello.capacity"), held: held, changes: c.changes)
  }

  func shardReport(_ c: Massl__ShardReport) throws(WireError) -> ShardReport {
    guard c.n_changed <= WireLimits.extentsPerShard else {
      throw bad("shard_report.changed", "has \(c.n_changed) changes, more than \(WireLimits.extentsPerShard)")
    }
    guard c.n_states == c.n_changed else {
      throw bad("shard_report.states", "has \(c.n_states) states for \(c.n_changed) changes")
    }
    guard c.n_after == c.n_changed else {
      throw bad("shard_report.after", "has \(c.n_after) digests for \(c.n_changed) changes")
    }
    guard c.first <= UInt64.max - UInt64(c.n_changed) else { throw bad("shard_report.first", "is \(c.first)") }
    var changes: [ExtentChange] = []
    changes.reserveCapacity(c.n_changed)
    for place in 0..<c.n_changed {
      let index = try offset(c.changed[place], "shard_report.changed")
      switch c.states[place] {
      case MASSL__EXTENT_STATE__EXTENT_STATE_HELD:
        changes.append(.held(HeldExtent(index: index, after: c.after[place])))
      case MASSL__EXTENT_STATE__EXTENT_STATE_REMOVED: changes.append(.removed(index))
      case MASSL__EXTENT_STATE__EXTENT_STATE_DAMAGED: changes.append(.damaged(index))
      default: throw bad("shard_report.states", "has the unknown value \(c.states[place].rawValue)")
      }
    }
    return ShardReport(
      first: c.first, changes: changes, used: try offset(c.used, "shard_report.used"),
      capacity: try offset(c.capacity, "shard_report.capacity"), isFull: c.is_full != 0,
      servedRows: try number(c.served_rows, "shard_report.served_rows", 0...(.max - 1)),
      servedBytes: try number(c.served_bytes, "shard_report.served_bytes", 0...(.max - 1)), assignment: c.assignment,
      problem: try text(c.problem, "shard_report.problem", WireLimits.sentence))
  }

  func memoryRequest(_ c: Massl__MemoryRequest) throws(WireError) -> WorkerMessage {
    let drained = try text(c.drain, "memory_request.drain", WireLimits.shortText)
    let staying = try text(c.stay, "memory_request.stay", WireLimits.shortText)
    switch (drained.isEmpty, staying.isEmpty) {
    case (true, true): return .memoryRequest
    case (false, true): return .drainRequest(shard: drained)
    case (true, false): return .stayRequest(shard: staying)
    case (false, false): throw bad("memory_request.stay", "names a shard, and so does drain")
    }
  }

  func shardWelcome(_ c: Massl__ShardWelcome) throws(WireError) -> ShardWelcome {
    ShardWelcome(
      configuration: try text(c.configuration, "shard_welcome.configuration", WireLimits.document),
      bulkPort: try number(UInt64(c.bulk_port), "shard_welcome.bulk_port", 1...65_535),
      rows: try offset(c.rows, "shard_welcome.rows"))
  }

  func assignment(_ c: Massl__Assignment) throws(WireError) -> Assignment {
    guard c.n_extents <= WireLimits.extentsAssigned else {
      throw bad("assignment.extents", "has \(c.n_extents) extents, more than \(WireLimits.extentsAssigned)")
    }
    guard c.n_removed <= WireLimits.extentsAssigned else {
      throw bad("assignment.removed", "has \(c.n_removed) extents, more than \(WireLimits.extentsAssigned)")
    }
    var extents: [AssignedExtent] = []
    for index in 0..<c.n_extents {
      guard let assigned = c.extents[index]?.pointee else { continue }
      extents.append(try self.assigned(assigned))
    }
    var removed: [Int] = []
    for index in 0..<c.n_removed { removed.append(try offset(c.removed[index], "assignment.removed")) }
    return Assignment(number: c.number, heard: c.heard, extents: extents, removed: removed)
  }

  private func assigned(_ c: Massl__AssignedExtent) throws(WireError) -> AssignedExtent {
    guard let extent = c.extent?.pointee else { throw bad("assignment.extents.extent", "is missing") }
    guard 1...WireLimits.sources ~= c.n_sources else {
      throw bad("assignment.extents.sources", "has \(c.n_sources) addresses, not 1 to \(WireLimits.sources)")
    }
    var sources: [ExtentSource] = []
    for index in 0..<c.n_sources {
      guard let source = c.sources[index] else { continue }
      let isEmpty = (source.pointee.endpoint?.pointee ?? 0) == 0
      guard !isEmpty || source.pointee.key.len == 0 else {
        throw bad("assignment.extents.sources.key", "stands without an endpoint")
      }
      sources.append(isEmpty ? .coordinator : .shard(try address(source, "assignment.extents.sources")))
    }
    return AssignedExtent(
      extent: ExtentIdentity(
        index: try offset(extent.index, "assignment.extents.extent.index"),
        before: try digest(extent.before, "assignment.extents.extent.before"),
        after: try digest(extent.after, "assignment.extents.extent.after")), sources: sources)
  }
}

// MARK: - Bulk

extension FieldReader {
  func recordsRequest(_ c: Massl__RecordsRequest) throws(WireError) -> BulkRequest {
    .records(
      extent: try offset(c.extent, "records_request.extent"), first: try offset(c.first, "records_request.first"),
      count: try number(c.count, "records_request.count", 1...WireLimits.rowsPerRequest))
  }

  func holdersRequest(_ c: Massl__HoldersRequest) throws(WireError) -> BulkRequest {
    .holders(
      first: try offset(c.first, "holders_request.first"),
      count: try number(c.count, "holders_request.count", 1...WireLimits.extentsPerRequest))
  }

  func holders(_ c: Massl__Holders) throws(WireError) -> HolderTable {
    guard c.n_shards <= WireLimits.shards else {
      throw bad("holders.shards", "has \(c.n_shards) shards, more than \(WireLimits.shards)")
    }
    guard c.n_counts <= WireLimits.extentsPerRequest else {
      throw bad("holders.counts", "has \(c.n_counts) extents, more than \(WireLimits.extentsPerRequest)")
    }
    let shards = try addresses(c.shards, c.n_shards, "holders.shards")
    var holders: [[Int]] = []
    holders.reserveCapacity(c.n_counts)
    var place = 0
    for index in 0..<c.n_counts {
      let count = try number(UInt64(c.counts[index]), "holders.counts", 0...WireLimits.holders)
      guard count <= c.n_indices - place else { throw bad("holders.indices", "has only \(c.n_indices) numbers") }
      let indices = Array(UnsafeBufferPointer(start: c.indices, count: c.n_indices)[place..<place + count]).map(
        Int.init)
      if let stray = indices.first(where: { $0 >= shards.count }) {
        throw bad("holders.indices", "names shard \(stray) of \(shards.count)")
      }
      holders.append(indices)
      place += count
    }
    guard place == c.n_indices else {
      throw bad("holders.indices", "has \(c.n_indices) numbers, but \(place) are counted")
    }
    return HolderTable(
      version: c.version, first: try offset(c.first, "holders.first"), shards: shards, holders: holders)
  }
}

// MARK: - Single fields

extension FieldReader {
  func addresses(
    _ c: UnsafeMutablePointer<UnsafeMutablePointer<Massl__BulkAddress>?>?, _ count: Int, _ field: String
  ) throws(WireError) -> [BulkAddress] {
    var addresses: [BulkAddress] = []
    for index in 0..<count { addresses.append(try address(c?[index], field)) }
    return addresses
  }

  func address(_ c: UnsafeMutablePointer<Massl__BulkAddress>?, _ field: String) throws(WireError) -> BulkAddress {
    guard let c = c?.pointee else { throw bad(field, "is missing") }
    let text = try text(c.endpoint, field + ".endpoint", WireLimits.shortText)
    let endpoint: Endpoint
    do throws(BadEndpoint) {
      endpoint = try Endpoint(text)
    } catch {
      throw bad(field + ".endpoint", "is no place to connect to (\(error))")
    }
    // What stands for all addresses of a machine is none of them.
    guard endpoint.port > 0, endpoint == endpoint.onThisMachine else {
      throw bad(field + ".endpoint", "is \(endpoint), no place to connect to")
    }
    guard c.key.len == 0 || c.key.len == 32 else { throw bad(field + ".key", "has \(c.key.len) bytes, not 32") }
    let key = Array(UnsafeBufferPointer(start: c.key.data, count: c.key.len))
    return BulkAddress(endpoint: endpoint, key: key.isEmpty ? nil : PublicKey(bytes: key))
  }
}
