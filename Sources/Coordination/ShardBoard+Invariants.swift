import Messages

extension ShardBoard {
  func checkInvariants() throws(CoordinationError) {
    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(CoordinationError) {
      if !condition { throw CoordinationError(message()) }
    }
    try require(shards.count <= WireLimits.shards, "\(shards.count) shards")
    for (id, shard) in shards {
      let (held, orders) = (shard.reported.held, shard.orders)
      try require(id == shard.id, "shard \(shard.id) in the place of \(id)")
      try require(
        orders.pulling.count <= CoordinationLimits.extentsInFlight,
        "\(shard.name) pulls \(orders.pulling.count) extents")
      try require(orders.pulling.keys.allSatisfy { extents[$0] != nil }, "\(shard.name) pulls what nobody needs")
      try require(orders.removing.allSatisfy { held[$0] != nil }, "\(shard.name) removes what it does not have")
    }
    for (peer, id) in byPeer {
      try require(shards[id]?.connection.peer == peer, "peer \(peer) does not speak for \(id)")
    }
    for (index, extent) in extents {
      try require(extent.identity.index == index, "extent \(index) out of place")
      try require(rows(of: index).upperBound > oldestRow, "extent \(index) is kept for nobody")
      try require(extent.holders == Set(extent.holders).sorted(), "holders of \(index): \(extent.holders)")
      for holder in extent.holders {
        let shard = shards[holder]
        try require(
          shard?.reported.held[index] == extent.identity.after.low && !(shard?.orders.removing.contains(index) ?? true),
          "\(holder) is said to hold extent \(index)")
      }
    }
  }
}
