import MemoryBank
import Numerics

// What memory shards and the coordinator say to each other: a shard says what it holds, the coordinator what it should.

/// Which rows an extent has. The memory's digest is a chain over its rows: a copy is right if the chain that enters its
/// first row as `before` leaves the last one as `after`.
public struct ExtentIdentity: Hashable, Sendable {
  /// Its rows are `index * rowsPerExtent ..< (index + 1) * rowsPerExtent`.
  public var index: Int
  public var before: Digest
  public var after: Digest
  public init(index: Int, before: Digest, after: Digest) {
    self.index = index
    self.before = before
    self.after = after
  }

  /// What a shard that holds it says of it, and writes in its file.
  public var mark: UInt64 { ExtentRecord.mark(of: after) }
}

// MARK: - Control, shard to coordinator

/// What a memory shard says on the control socket.
public enum ShardMessage: Hashable, Sendable {
  case hello(ShardHello)
  /// Sent every second and when something changed: what it holds, and the heartbeat.
  case report(ShardReport)
  /// Leaves, with its rows: they are away until it comes back.
  case goodbye
}

public struct ShardHello: Hashable, Sendable {
  /// The newest protocol that it speaks.
  public var protocolVersion: UInt32
  /// For people: its host, which also says whether two shards fail together.
  public var name: String
  public var shard: ShardID
  public var address: BulkAddress
  /// Bytes that it offers.
  public var capacity: Int
  /// Every extent that it holds whole and durable.
  public var held: [HeldExtent]
  /// Changes since its process began that `held` includes: the first that is not has this number.
  public var changes: UInt64

  public init(
    protocolVersion: UInt32, name: String, shard: ShardID, address: BulkAddress, capacity: Int, held: [HeldExtent],
    changes: UInt64
  ) {
    self.protocolVersion = protocolVersion
    self.name = name
    self.shard = shard
    self.address = address
    self.capacity = capacity
    self.held = held
    self.changes = changes
  }
}

public struct HeldExtent: Hashable, Sendable {
  public var index: Int
  /// The low half of the digest after its last row.
  public var after: UInt64
  public init(index: Int, after: UInt64) {
    self.index = index
    self.after = after
  }
}

public struct ShardReport: Hashable, Sendable {
  /// The number of the first of `changes`: they are said again until an assignment shows that they were heard.
  public var first: UInt64
  /// In the order in which they happened.
  public var changes: [ExtentChange]
  /// Bytes of files.
  public var used: Int
  /// Bytes that it offers.
  public var capacity: Int
  /// Its disk has no room, whatever it offered.
  public var isFull: Bool
  /// Since its process began.
  public var servedRows: Int
  public var servedBytes: Int
  /// The number of the assignment that it works on; 0 for none.
  public var assignment: UInt64
  /// Why it cannot do what it is assigned; empty if it can.
  public var problem: String

  public init(
    first: UInt64, changes: [ExtentChange], used: Int, capacity: Int, isFull: Bool = false, servedRows: Int = 0,
    servedBytes: Int = 0, assignment: UInt64, problem: String = ""
  ) {
    self.first = first
    self.changes = changes
    self.used = used
    self.capacity = capacity
    self.isFull = isFull
    self.servedRows = servedRows
    self.servedBytes = servedBytes
    self.assignment = assignment
    self.problem = problem
  }
}

/// What happened to one of a shard's extents.
public enum ExtentChange: Hashable, Sendable {
  /// It is there, whole and durable.
  case held(HeldExtent)
  /// It is no longer there, as it was told.
  case removed(Int)
  /// It is no longer there, for its bytes were not what they should be.
  case damaged(Int)
}

// MARK: - Control, coordinator to shard

public struct ShardWelcome: Hashable, Sendable {
  /// The run's whole configuration, as a recipe (YAML).
  public var configuration: String
  /// TCP port of the coordinator's bulk socket.
  public var bulkPort: Int
  /// Rows that the incarnation began with: an extent that reaches past them may have other rows now.
  public var rows: Int

  public init(configuration: String, bulkPort: Int, rows: Int) {
    self.configuration = configuration
    self.bulkPort = bulkPort
    self.rows = rows
  }
}

/// What a shard should do next; it takes the place of the one before. What it holds besides stays.
public struct Assignment: Hashable, Sendable {
  public var number: UInt64
  /// Changes of this shard's that were heard: it need not say those before this number again.
  public var heard: UInt64
  /// To be pulled, checked, made durable and reported, unless it is there.
  public var extents: [AssignedExtent]
  /// To be removed and reported, if they are there.
  public var removed: [Int]

  public init(number: UInt64, heard: UInt64, extents: [AssignedExtent] = [], removed: [Int] = []) {
    self.number = number
    self.heard = heard
    self.extents = extents
    self.removed = removed
  }
}

public struct AssignedExtent: Hashable, Sendable {
  public var extent: ExtentIdentity
  /// Who has it, the best first; never empty.
  public var sources: [ExtentSource]
  public init(extent: ExtentIdentity, sources: [ExtentSource]) {
    self.extent = extent
    self.sources = sources
  }
}

public enum ExtentSource: Hashable, Sendable {
  case coordinator
  case shard(BulkAddress)
}

// MARK: - Bulk

/// A piece of the table of who holds which extent.
public struct HolderTable: Hashable, Sendable {
  /// Of the whole table: pieces of two versions do not fit each other.
  public var version: UInt64
  /// The extent that the first of `holders` is about.
  public var first: Int
  /// Shards that can be asked now.
  public var shards: [BulkAddress]
  /// One an extent: indices into `shards`. Of an extent without any the coordinator has the rows.
  public var holders: [[Int]]

  public init(version: UInt64, first: Int, shards: [BulkAddress], holders: [[Int]]) {
    self.version = version
    self.first = first
    self.shards = shards
    self.holders = holders
  }
}
