import Glibc

/// How far a process stands back from those that compute slices: of `nice`, 0 to 19.
enum Niceness: CInt {
  /// What people look at or are told.
  case watching = 10
  /// What may come later.
  case writing = 19

  /// For this process, from now on.
  func take() { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, rawValue) }
}
