import Glibc
import Printing

/// Why a process cannot be started, or told something.
public enum ProcessError: Error, Equatable {
  case ended(pid_t)
  /// Another user's; nil if it cannot be said whose.
  case foreign(pid_t, owner: String?)
  case notStarted(program: String, reason: String)
}

extension ProcessError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .ended(let number): "Process \(number) has ended."
    case .foreign(let number, let owner):
      "Process \(number) is \(owner.map { "\($0.printable)'s" } ?? "another user's"), not yours. Ask its owner, or root."
    case .notStarted(let program, let reason):
      "Cannot start \(program.printable): \(reason.printable). The program must be there, and the limits of this user's "
        + "processes (ulimit -u) allow one more."
    }
  }
}
