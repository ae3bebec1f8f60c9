import Foundation

/// Looks until a condition holds, at most for so many seconds.
///
///     #expect(try eventually(within: 20) { FileManager.default.fileExists(atPath: path) })
///
/// - Returns: whether it held in time.
public func eventually(within seconds: Double, _ condition: () throws -> Bool) rethrows -> Bool {
  let end = Date() + seconds
  while try !condition() {
    if Date() >= end { return false }
    Thread.sleep(forTimeInterval: 0.01)
  }
  return true
}

extension Duration {
  /// For what must come: hundreds of times what it takes, so that no load of the machine is taken for a fault.
  public static let patience = Duration.seconds(60)
}

/// A process that should have ended.
public struct StillRunning: Error, CustomStringConvertible {
  public let command: String
  public let seconds: Double

  public var description: String { "'\(command)' was killed: it had not ended within \(seconds) s." }
}

extension Process {
  /// Waits for its end, and kills it when that does not come: a test that waits for ever says nothing.
  ///
  /// - Parameter seconds: by default hundreds of times what the tests' small runs need.
  /// - Returns: its exit code, or the number of the signal that ended it.
  /// - Throws: `StillRunning`.
  @discardableResult public func exit(within seconds: Double = 120) throws -> Int32 {
    guard eventually(within: seconds, { !isRunning }) else {
      kill(processIdentifier, SIGKILL)
      waitUntilExit()
      throw StillRunning(
        command: ([executableURL?.path ?? ""] + (arguments ?? [])).joined(separator: " "), seconds: seconds)
    }
    return terminationStatus
  }
}
