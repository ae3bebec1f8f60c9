import ArgumentParser

/// Numbers of workers, as people write them: 1,2,4,8,16.
package struct WorkerCounts: ExpressibleByArgument, Equatable {
  /// Ascending, each once.
  package let workers: [Int]

  /// Nil if it is no list of numbers that a coordinator takes.
  package init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    let workers = parts.compactMap { Int($0) }
    guard workers.count == parts.count, workers.allSatisfy({ 1...PlanCommand.workersAtMost ~= $0 }) else { return nil }
    self.workers = Set(workers).sorted()
  }
}
