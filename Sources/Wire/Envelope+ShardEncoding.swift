internal import CMessages
internal import CProtobufC
import Messages
import Numerics
import Packing

// What memory shards say and hear, to protobuf.

extension MessageMemory {
  func write(_ message: ShardMessage, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    switch message {
    case .hello(let hello):
      envelope.pointee.shard_hello = write(hello)
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_SHARD_HELLO
    case .report(let report):
      envelope.pointee.shard_report = write(report)
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_SHARD_REPORT
    case .goodbye:
      envelope.pointee.shard_goodbye = make(Massl__ShardGoodbye.self, massl__shard_goodbye__init)
      envelope.pointee.body_case = MASSL__ENVELOPE__BODY_SHARD_GOODBYE
    }
  }

  func writeMemoryRequest(
    drain: String = "", stay: String = "", into envelope: UnsafeMutablePointer<Massl__Envelope>
  ) {
    let c = make(Massl__MemoryRequest.self, massl__memory_request__init)
    c.pointee.drain = text(drain, cutTo: WireLimits.shortText)
    c.pointee.stay = text(stay, cutTo: WireLimits.shortText)
    envelope.pointee.memory_request = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_MEMORY_REQUEST
  }

  private func write(_ hello: ShardHello) -> UnsafeMutablePointer<Massl__ShardHello> {
    invariant(hello.held.count <= WireLimits.extentsPerShard, "\(hello.held.count) extents held")
    let c = make(Massl__ShardHello.self, massl__shard_hello__init)
    c.pointee.protocol_version = hello.protocolVersion
    c.pointee.name = text(hello.name, cutTo: WireLimits.shortText)
    c.pointee.shard = digest(hello.shard.digest)
    c.pointee.address = write(hello.address)
    c.pointee.capacity = number(hello.capacity)
    (c.pointee.n_held, c.pointee.held) = (hello.held.count, array(hello.held.map { number($0.index) }))
    (c.pointee.n_after, c.pointee.after) = (hello.held.count, array(hello.held.map(\.after)))
    c.pointee.changes = hello.changes
    return c
  }

  private func write(_ report: ShardReport) -> UnsafeMutablePointer<Massl__ShardReport> {
    let count = report.changes.count
    invariant(count <= WireLimits.extentsPerShard, "\(count) changes")
    let changes = report.changes.map { change -> (UInt64, Massl__ExtentState, UInt64) in
      switch change {
      case .held(let extent): (number(extent.index), MASSL__EXTENT_STATE__EXTENT_STATE_HELD, extent.after)
      case .removed(let index): (number(index), MASSL__EXTENT_STATE__EXTENT_STATE_REMOVED, 0)
      case .damaged(let index): (number(index), MASSL__EXTENT_STATE__EXTENT_STATE_DAMAGED, 0)
      }
    }
    let c = make(Massl__ShardReport.self, massl__shard_report__init)
    c.pointee.first = report.first
    (c.pointee.n_changed, c.pointee.changed) = (count, array(changes.map(\.0)))
    (c.pointee.n_states, c.pointee.states) = (count, array(changes.map(\.1)))
    (c.pointee.n_after, c.pointee.after) = (count, array(changes.map(\.2)))
    c.pointee.used = number(report.used)
    c.pointee.capacity = number(report.capacity)
    c.pointee.is_full = report.isFull ? 1 : 0
    c.pointee.served_rows = number(report.servedRows, below: .max)
    c.pointee.served_bytes = number(report.servedBytes, below: .max)
    c.pointee.assignment = report.assignment
    c.pointee.problem = text(report.problem, cutTo: WireLimits.sentence)
    return c
  }

  func write(_ address: BulkAddress) -> UnsafeMutablePointer<Massl__BulkAddress> {
    let c = make(Massl__BulkAddress.self, massl__bulk_address__init)
    c.pointee.endpoint = text(address.endpoint.description, cutTo: WireLimits.shortText)
    if let key = address.key { c.pointee.key = bytes(key.bytes) }
    return c
  }

  func write(_ assignment: Assignment) -> UnsafeMutablePointer<Massl__Assignment> {
    invariant(assignment.extents.count <= WireLimits.extentsAssigned, "\(assignment.extents.count) extents assigned")
    invariant(
      assignment.removed.count <= WireLimits.extentsAssigned, "\(assignment.removed.count) extents to be removed")
    let c = make(Massl__Assignment.self, massl__assignment__init)
    c.pointee.number = assignment.number
    c.pointee.heard = assignment.heard
    c.pointee.n_extents = assignment.extents.count
    c.pointee.extents = array(assignment.extents.map { Optional(write($0)) })
    c.pointee.n_removed = assignment.removed.count
    c.pointee.removed = array(assignment.removed.map { number($0) })
    return c
  }

  private func write(_ assigned: AssignedExtent) -> UnsafeMutablePointer<Massl__AssignedExtent> {
    invariant(1...WireLimits.sources ~= assigned.sources.count, "\(assigned.sources.count) sources")
    let extent = make(Massl__Extent.self, massl__extent__init)
    extent.pointee.index = number(assigned.extent.index)
    extent.pointee.before = digest(assigned.extent.before)
    extent.pointee.after = digest(assigned.extent.after)
    let c = make(Massl__AssignedExtent.self, massl__assigned_extent__init)
    c.pointee.extent = extent
    c.pointee.n_sources = assigned.sources.count
    c.pointee.sources = array(
      assigned.sources.map { source in
        switch source {
        case .coordinator: Optional(make(Massl__BulkAddress.self, massl__bulk_address__init))
        case .shard(let address): Optional(write(address))
        }
      })
    return c
  }

  func write(_ table: HolderTable) -> UnsafeMutablePointer<Massl__Holders> {
    invariant(table.shards.count <= WireLimits.shards, "\(table.shards.count) shards")
    invariant(table.holders.count <= WireLimits.extentsPerRequest, "\(table.holders.count) extents")
    let c = make(Massl__Holders.self, massl__holders__init)
    c.pointee.version = table.version
    c.pointee.first = number(table.first)
    c.pointee.n_shards = table.shards.count
    c.pointee.shards = array(table.shards.map { Optional(write($0)) })
    c.pointee.n_counts = table.holders.count
    c.pointee.counts = array(table.holders.map { UInt32(number($0.count, below: WireLimits.holders + 1)) })
    let indices = table.holders.joined().map { UInt32(number($0, below: table.shards.count)) }
    (c.pointee.n_indices, c.pointee.indices) = (indices.count, array(indices))
    return c
  }
}
