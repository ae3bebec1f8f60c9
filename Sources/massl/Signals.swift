import Glibc
import Synchronization
import Wire

/// What ends a process from outside: SIGINT, SIGTERM, and the end of the process that started it. One a process.
///
/// None is lost, whenever it comes: before there is a handler it ends the process, or waits where the process that
/// started this one has it blocked; the thread that looks takes it from there.
final class Signals: Sendable {
  private static let all = [SIGINT, SIGTERM]
  /// Between two looks at whether the parent is there, in milliseconds.
  private static let look: CInt = 250
  /// The handler writes to one end, the thread reads from the other.
  private static let pipe: (read: CInt, write: CInt) = {
    var ends: [CInt] = [-1, -1]
    _ = Glibc.pipe(&ends)
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    return (ends[0], ends[1])
  }()

  private let state = Mutex<(hasCome: Bool, stop: (@Sendable () -> Void)?)>((false, nil))

  /// - Parameter withParent: to stop also when the process that started this one is gone.
  init(withParent: Bool = false) {
    // A parent that was killed tells nobody; its children are handed to another process, and see that.
    let parent = withParent ? getppid() : nil
    _ = Self.pipe
    for number in Self.all {
      signal(number) { _ in
        var byte: UInt8 = 0
        _ = write(Signals.pipe.write, &byte, 1)
      }
    }
    startThread(named: "massl-signals") { [self] in watch(parent: parent) }
  }

  private func watch(parent: pid_t?) {
    var taken = sigset_t()
    sigemptyset(&taken)
    for number in Self.all { sigaddset(&taken, number) }
    pthread_sigmask(SIG_UNBLOCK, &taken, nil)
    var bytes = [UInt8](repeating: 0, count: 64)
    var isOrphan = false
    while true {
      var end = pollfd(fd: Self.pipe.read, events: Int16(POLLIN), revents: 0)
      let isReady = poll(&end, 1, parent == nil || isOrphan ? -1 : Self.look) > 0
      if isReady, read(Self.pipe.read, &bytes, bytes.count) > 0 { come() }
      if let parent, !isOrphan, getppid() != parent {
        isOrphan = true
        come()
      }
    }
  }

  private func come() {
    let stop = state.withLock { state in
      state.hasCome = true
      return state.stop
    }
    stop?()
  }

  /// Whether one has come.
  var haveCome: Bool { state.withLock { $0.hasCome } }

  /// From now on calls `stop`, in a thread of its own, as often as one comes; at once if one has come before.
  func tell(_ stop: @escaping @Sendable () -> Void) {
    let hasCome = state.withLock { state in
      state.stop = stop
      return state.hasCome
    }
    if hasCome { stop() }
  }
}
