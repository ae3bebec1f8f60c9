import Foundation
import Glibc

/// What a test needs of the process that runs it, or wants to know of it.
public enum ThisProcess {
  /// The system allows no more.
  public struct TooFewDescriptors: Error { let atMost: rlim_t }

  /// Raises the limit of descriptors, which is 1,024 on many systems.
  public static func allowDescriptors(_ count: Int) throws {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0, limit.rlim_max >= count else {
      throw TooFewDescriptors(atMost: limit.rlim_max)
    }
    limit.rlim_cur = max(limit.rlim_cur, rlim_t(count))
    guard setrlimit(resource, &limit) == 0 else { throw TooFewDescriptors(atMost: limit.rlim_max) }
  }

  public static func residentBytes() throws -> Int {
    let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
    return (Int(fields[1]) ?? 0) * 4096
  }
}
