import Numerics
import Synchronization

/// Pieces of work, each done once by one of several threads. What a piece is must not follow from the number of threads.
final class SharedWork: Sendable {
  private let count: Int
  private let state = Mutex<(next: Int, failure: (any Error)?)>((0, nil))

  init(pieces count: Int) { self.count = count }

  /// Runs `body` on so many threads at once, and returns when all have.
  /// - Parameter body: takes pieces with `next` until there are none.
  /// - Throws: what the first thread to fail threw; the others find no more pieces then.
  func run(threads: Int, _ body: @Sendable (_ next: () -> Int?) throws -> Void) throws {
    forEachChunk(max(1, min(threads, count))) { _ in
      do { try body(next) } catch { fail(error) }
    }
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  private func next() -> Int? {
    state.withLock { state in
      guard state.failure == nil, state.next < count else { return nil }
      state.next += 1
      return state.next - 1
    }
  }

  private func fail(_ error: any Error) {
    state.withLock { state in state.failure = state.failure ?? error }
  }
}
