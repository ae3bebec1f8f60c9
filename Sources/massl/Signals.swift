import Dispatch
import Foundation

/// What ends a process from outside; it is heeded as long as this is kept.
final class Signals {
  private var sources: [any DispatchSourceProtocol] = []

  /// Calls `stop` on SIGINT and SIGTERM, as often as they come.
  /// - Parameter withParent: call it too when the process that started this one is gone.
  init(withParent: Bool = false, stop: @escaping @Sendable () -> Void) {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler(handler: stop)
      source.resume()
      sources.append(source)
    }
    guard withParent else { return }
    // A parent that was killed tells nobody; its children are handed to another process, and see that.
    let parent = getppid()
    let timer = DispatchSource.makeTimerSource(queue: .global())
    timer.schedule(deadline: .now(), repeating: .milliseconds(250))
    timer.setEventHandler { if getppid() != parent { stop() } }
    timer.resume()
    sources.append(timer)
  }

  deinit { for source in sources { source.cancel() } }
}
