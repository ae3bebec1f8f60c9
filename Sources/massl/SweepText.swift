import Foundation
import Planning

/// What `massl plan --sweep` prints for people, line by line as plans are made: a column for each of its rates.
package struct SweepText {
  private let columns: [String]

  package init(failures: DeploymentSweep.Failures?) {
    let policies = ["exchange: never", "exchange: automatic"]
    let failing = failures.map { String(format: "%g %% fail an hour", 100 * $0.perHour) }
    columns = policies + (failing.map { failing in policies.map { "\($0), \(failing)" } } ?? [])
  }

  package var header: String {
    "images/s, and the share of what the processors could do\n" + line("workers", columns)
  }

  package func row(_ point: DeploymentSweep.Point) -> String {
    let rates = [point.star, point.exchange, point.failingStar, point.failingExchange].compactMap { $0 }
    return line("\(point.workers)", rates.map { String(format: "%.1f  %.2f", $0.imagesPerSecond, $0.efficiency) })
  }

  /// Each cell ends where its column's title does.
  private func line(_ first: String, _ cells: [String]) -> String {
    zip(columns, cells).reduce(first.padding(toLength: 7, withPad: " ", startingAt: 0)) { line, column in
      let width = max(column.0.count, 12) + 3
      return line + String(repeating: " ", count: max(1, width - column.1.count)) + column.1
    }
  }
}
