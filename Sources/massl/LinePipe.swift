import Foundation
import Threads

/// What a process says on its standard output or error, a line at a time, in a thread of its own.
final class LinePipe: Sendable {
  /// For the process, before it is started.
  let pipe = Pipe()
  private let take: @Sendable (String) -> Void
  private let hasEnded = DispatchSemaphore(value: 0)

  /// For a process that handed its end on to another, in seconds.
  private static let patience = 5.0

  init(_ take: @escaping @Sendable (String) -> Void) { self.take = take }

  /// Once the process was started.
  func begin() {
    try? pipe.fileHandleForWriting.close()
    startThread(named: "massl-said") { [self] in
      var begun = Data()
      while case let bytes = pipe.fileHandleForReading.availableData, !bytes.isEmpty {
        begun += bytes
        while let end = begun.firstIndex(of: UInt8(ascii: "\n")) {
          take(String(decoding: begun[begun.startIndex..<end], as: UTF8.self))
          begun = Data(begun[begun.index(after: end)...])
        }
      }
      if !begun.isEmpty { take(String(decoding: begun, as: UTF8.self)) }
      hasEnded.signal()
    }
  }

  /// Returns when all was taken that an ended process said.
  func finish() { _ = hasEnded.wait(timeout: .now() + Self.patience) }
}
