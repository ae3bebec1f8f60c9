import Glibc
import Messages
import Wire

/// A connection is a file descriptor, and systems give a process 1,024 at first: fewer than a run may have workers.
enum DescriptorLimit {
  /// Without so many no coordinator, worker or memory shard begins: what it keeps for itself, and some peers.
  private static let least = WireLimits.reservedDescriptors + 32

  /// - Parameter use: the process, as the subject of a sentence.
  /// - Throws: `WireError.tooFewDescriptors`.
  static func check(for use: String) throws { try ProcessLimits.check(descriptors: least, for: use) }

  /// More than anybody connects; where systems allow a billion, some programs walk through all of them.
  static let most: rlim_t = 65_536

  /// Raises this process's limit to what the system allows it, or to `most`. Where that fails the limit stays: who
  /// finds no descriptor says so.
  static func raise() {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0 else { return }
    let wanted = min(limit.rlim_max, most)
    guard limit.rlim_cur < wanted else { return }
    limit.rlim_cur = wanted
    setrlimit(resource, &limit)
  }
}
