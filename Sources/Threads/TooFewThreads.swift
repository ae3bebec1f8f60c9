import Glibc

/// The system does not start as many threads as are needed.
public struct TooFewThreads: Error, Hashable, CustomStringConvertible {
  public let needed: Int
  public let possible: Int
  /// The system's errno.
  public let code: Int32

  public init(needed: Int, possible: Int, code: Int32) {
    self.needed = needed
    self.possible = possible
    self.code = code
  }

  public var description: String {
    "\(needed) threads are needed here, and the system gives \(possible) (\(String(cString: strerror(code)))). Raise the "
      + "limit of this user's processes (ulimit -u) or of the container's or unit's (pids.max, TasksMax), or give "
      + "--threads fewer."
  }
}
