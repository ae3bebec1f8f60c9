/// Why a memory shard cannot start, or cannot go on, beyond what the modules below have to say.
public enum MemoryError: Error, Equatable, CustomStringConvertible {
  /// The directory holds files that no shard made.
  case notAShard(directory: String)
  /// A directory that was given as a shard's, to read rows from, is none.
  case noShard(directory: String)
  /// It is one of another run, or of none yet.
  case otherRunsShard(directory: String, own: String?, run: String)
  case damagedIdentity(file: String)
  case newerIdentity(file: String, version: Int, supported: Int)
  /// It holds rows of another run than the coordinator's.
  case otherRun(directory: String, own: String, coordinators: String)
  /// It holds rows of another width, type or number in a file.
  case otherShape(directory: String)
  /// The capacity offered is more than the disk has.
  case noRoom(directory: String, offered: Int, free: Int)
  /// The coordinator will not work with this shard: starting it again is of no use.
  case turnedAway(coordinator: String, reason: String)
  case socketFailed(coordinator: String, reason: String)
  /// Its address is good on this machine only, and the coordinator is on another.
  case unreachable(endpoint: String, coordinator: String)

  public var description: String {
    switch self {
    case .notAShard(let directory):
      "\(directory) is not empty and holds no memory shard. Give --directory an empty folder, or one that 'massl memory' "
        + "made."
    case .noShard(let directory):
      "\(directory) holds no memory shard: there is no shard.json. Give --shard a directory that 'massl memory' made."
    case .otherRunsShard(let directory, let own, let run):
      "\(directory) holds \(own.map { "rows of run \($0)" } ?? "no rows yet"), and this is run \(run). Give --shard "
        + "the directories of this run's shards."
    case .damagedIdentity(let file):
      "\(file) is damaged, so it is not known whose rows these are. Move the directory away and start the shard with an "
        + "empty one: its rows are copied again from their replicas."
    case .newerIdentity(let file, let version, let supported):
      "\(file) has format \(version); this massl reads formats up to \(supported). Use the massl that wrote it."
    case .otherRun(let directory, let own, let coordinators):
      "\(directory) holds rows of run \(own), and the coordinator's run is \(coordinators). Check --coordinator, or give "
        + "--directory an empty folder."
    case .otherShape(let directory):
      "\(directory) holds rows of another shape than the run's. Give --directory an empty folder."
    case .noRoom(let directory, let offered, let free):
      "\(directory) has room for \(free) bytes more, and --capacity offers \(offered) in all. Offer less, or make room."
    case .turnedAway(let coordinator, let reason):
      "The coordinator at \(coordinator) turned this shard away: \(reason)"
    case .socketFailed(let coordinator, let reason):
      "The connection to the coordinator at \(coordinator) failed: \(reason)"
    case .unreachable(let endpoint, let coordinator):
      "Workers cannot reach \(endpoint), for it is an address of this machine alone, and the coordinator is at "
        + "\(coordinator). Give --listen or --advertise an address that other machines reach."
    }
  }
}
