import Dispatch
import Foundation
import Synchronization

/// What ends a process from outside: SIGINT, SIGTERM, and the end of the process that started it.
///
/// One a process, heeded as long as it is kept: Dispatch does not give a signal to a source made after another was
/// cancelled.
final class Signals {
  private let wish = Wish()
  private var sources: [any DispatchSourceProtocol] = []

  /// Whether the process is to stop, and who wants to hear of it.
  private final class Wish: Sendable {
    private let state = Mutex<(hasCome: Bool, stop: (@Sendable () -> Void)?)>((false, nil))

    var hasCome: Bool { state.withLock { $0.hasCome } }

    func come() {
      let stop = state.withLock { state in
        state.hasCome = true
        return state.stop
      }
      stop?()
    }

    func tell(_ stop: @escaping @Sendable () -> Void) {
      let hasCome = state.withLock { state in
        state.stop = stop
        return state.hasCome
      }
      if hasCome { stop() }
    }
  }

  /// - Parameter withParent: to stop also when the process that started this one is gone.
  init(withParent: Bool = false) {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [wish] in wish.come() }
      source.resume()
      sources.append(source)
    }
    guard withParent else { return }
    // A parent that was killed tells nobody; its children are handed to another process, and see that.
    let parent = getppid()
    let timer = DispatchSource.makeTimerSource(queue: .global())
    timer.schedule(deadline: .now(), repeating: .milliseconds(250))
    timer.setEventHandler { [wish] in if getppid() != parent { wish.come() } }
    timer.resume()
    sources.append(timer)
  }

  deinit { for source in sources { source.cancel() } }

  /// Whether one has come.
  var haveCome: Bool { wish.hasCome }

  /// From now on calls `stop`, from any thread, as often as one comes; at once if one has come before.
  func tell(_ stop: @escaping @Sendable () -> Void) { wish.tell(stop) }
}
