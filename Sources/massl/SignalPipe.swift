import Glibc

/// How a signal's handler, which may do hardly anything, tells a thread of it: its number goes in at one end. Neither end
/// waits, and no program that is started gets them.
struct SignalPipe: Sendable {
  let read: CInt
  let write: CInt

  init() {
    var ends: [CInt] = [-1, -1]
    _ = Glibc.pipe(&ends)
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    (read, write) = (ends[0], ends[1])
  }
}
