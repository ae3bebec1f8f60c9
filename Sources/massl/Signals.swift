import ArgumentParser
import Foundation
import Glibc
import Synchronization
import Threads

/// A command that ends in order when it is asked to: it makes a `Signals`. Others end at a signal as programs do.
protocol EndsInOrder: TakesThreads {}

/// What ends a process from outside: signals, and the end of the process that started it. One a process.
///
/// None is lost, whenever it comes: `hold` takes them from the first line of `main` on, before that they wait if the
/// process that started this one had them held, and those that came before massl starts itself again are handed over.
/// The thread that looks takes them from there.
final class Signals: Sendable {
  /// Between two looks at whether the parent is there, in milliseconds.
  private static let look: CInt = 250
  /// The handler writes a signal's number to one end, the thread reads from the other.
  private static let pipe = SignalPipe()
  /// A bit for each signal that the handler has seen.
  private static let seen = Atomic<UInt64>(0)
  /// Those that the process was started to ignore.
  private static let ignored: [CInt] = StopRequests.signals.filter { number in
    var action = sigaction()
    sigaction(number, nil, &action)
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }
  private static let taken = StopRequests.signals.filter {
    StopRequests.alwaysTaken.contains($0) || !ignored.contains($0)
  }

  /// Where a process reads who started it, which may be gone before it looks itself.
  private static let parentVariable = "MASSL_PARENT"

  /// The environment of processes that are to stop with this one. One that crashes must not wait for a person at this
  /// terminal.
  static var environmentOfChildren: [String: String] {
    ProcessInfo.processInfo.environment.merging(
      [parentVariable: "\(getpid())", "SWIFT_BACKTRACE": "interactive=no"]) { $1 }
  }

  private static var parent: pid_t {
    ProcessInfo.processInfo.environment[parentVariable].flatMap { pid_t($0) } ?? getppid()
  }

  private let state = Mutex<(requests: StopRequests, stop: (@Sendable (StopRequest) -> Void)?)>((StopRequests(), nil))

  /// - Parameter withParent: to stop also when the process that started this one is gone.
  init(withParent: Bool = false) {
    // A parent that was killed tells nobody; its children are handed to another process, and see that.
    let parent = withParent ? Self.parent : nil
    startThread(named: "massl-signals") { [self] in watch(parent: parent) }
  }

  private func watch(parent: pid_t?) {
    Self.mask(SIG_UNBLOCK)
    var bytes = [UInt8](repeating: 0, count: 64)
    var isOrphan = false
    while true {
      var end = pollfd(fd: Self.pipe.read, events: Int16(POLLIN), revents: 0)
      if poll(&end, 1, parent == nil || isOrphan ? -1 : Self.look) > 0 {
        let count = read(Self.pipe.read, &bytes, bytes.count)
        for byte in bytes.prefix(max(0, count)) { come(CInt(byte)) }
      }
      if let parent, !isOrphan, getppid() != parent {
        isOrphan = true
        come(nil)
      }
    }
  }

  private func come(_ signal: CInt?) {
    let (request, stop) = state.withLock { ($0.requests.take(signal, at: .now), $0.stop) }
    if let request { stop?(request) }
  }

  /// Whether one has come.
  var haveCome: Bool { state.withLock { $0.requests.haveCome } }

  /// From now on calls `stop`, in a thread of its own, with what is asked for; at once with what was asked for before.
  func tell(_ stop: @escaping @Sendable (StopRequest) -> Void) {
    let requests = state.withLock { state in
      state.stop = stop
      return state.requests
    }
    if requests.haveCome { stop(.leave) }
    if requests.isHurried { stop(.hurry) }
  }
}

// MARK: - Before there is one

extension Signals {
  /// Keeps signals from ending this process. First of all in `main`.
  ///
  /// They are held back from this thread, and so from those that it starts, and from processes; threads that libraries
  /// started before have the handler.
  static func hold() {
    _ = pipe
    mask(SIG_BLOCK)
    for number in taken {
      signal(number) { number in
        Signals.seen.bitwiseOr(1 << UInt64(number), ordering: .relaxed)
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(Signals.pipe.write, &byte, 1)
      }
    }
  }

  /// Has them do what they do to any program, those that were held too.
  static func release() {
    for number in taken { signal(number, ignored.contains(number) ? SIG_IGN : SIG_DFL) }
    mask(SIG_UNBLOCK)
    for number in taken where hasSeen(number) { raise(number) }
  }

  /// Leaves those that came for the program that this process becomes.
  static func handOver() {
    mask(SIG_BLOCK)
    // Held back from this thread they wait, and stay when it starts another program.
    for number in taken where hasSeen(number) { pthread_kill(pthread_self(), number) }
  }

  private static func hasSeen(_ number: CInt) -> Bool { seen.load(ordering: .relaxed) & 1 << UInt64(number) != 0 }

  private static func mask(_ how: CInt) {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in taken { sigaddset(&signals, number) }
    pthread_sigmask(how, &signals, nil)
  }
}
