import Testing
import Threads

/// Runs tests on a few threads that no others have: for those that wait for processes.
///
///     @Suite(.serialized, .ownThreads) struct SignalTests {
///
/// Swift Testing has a thread a processor. A test that waits on one of these keeps it from tests that compute, and comes to
/// its turn only behind all of them.
struct OwnThreads: SuiteTrait, TestTrait, TestScoping {
  private static let executor = ThreadsExecutor(count: 2)

  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await withTaskExecutorPreference(Self.executor) { try await function() }
  }
}

extension Trait where Self == OwnThreads {
  static var ownThreads: Self { Self() }
}

private final class ThreadsExecutor: TaskExecutor {
  /// Of what can run now: at most one a suite, hence far fewer than it takes.
  private let jobs = BoundedQueue<UnownedJob>(capacity: 1024)

  init(count: Int) {
    for number in 0..<count {
      startThread(named: "waiting-\(number)") { [self] in
        while let job = jobs.next() { job.runSynchronously(on: asUnownedTaskExecutor()) }
      }
    }
  }

  func enqueue(_ job: consuming ExecutorJob) { jobs.append(UnownedJob(job)) }
}
