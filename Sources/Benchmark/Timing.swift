import Glibc
import Synchronization
import Threads

/// Seconds that things take, measured in turn: what the machine does besides then falls on all of them alike.
enum Timing {
  /// The median seconds of each subject over so many rounds; every subject runs once in every round, and once before.
  static func medians(rounds: Int, _ subjects: [() throws -> Void]) throws -> [Double] {
    for subject in subjects { try subject() }
    var seconds = [[Double]](repeating: [], count: subjects.count)
    for _ in 0..<rounds {
      for (index, subject) in subjects.enumerated() {
        seconds[index].append(try ContinuousClock().measure(subject) / .seconds(1))
      }
    }
    return seconds.map { $0.sorted()[$0.count / 2] }
  }

  /// Runs `body` on so many threads at once, each with its number, and returns when all have ended.
  static func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let ended = BoundedQueue<Int>(capacity: count)
    for index in 0..<count {
      startThread(named: "massl-bench-\(index)") {
        body(index)
        _ = ended.append(index)
      }
    }
    for _ in 0..<count { _ = ended.next() }
  }

  /// The most bytes that this process ever had resident.
  static var peakBytes: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
  }
}
