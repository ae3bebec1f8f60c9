import Foundation
import Services
import Synchronization
import Telemetry
import Training

/// Steps as they are done: to metrics.jsonl, and on stderr.
final class RunReport: Sendable {
  private struct State {
    let metrics: MetricsWriter
    var printer = ProgressPrinter()
    var newest: ProgressState?
  }
  private let plan: RunPlan
  private let log: ServiceLog
  private let state: Mutex<State>

  init(_ metrics: sending MetricsWriter, _ plan: RunPlan, log: @escaping ServiceLog) {
    self.plan = plan
    self.log = log
    state = Mutex(State(metrics: metrics))
  }

  func take(_ report: StepReport) {
    let record = report.record
    let progress = ProgressState(
      step: record.step, lastStep: plan.lastStep, epoch: plan.runningEpoch(afterStep: record.step),
      epochs: plan.epochsBegun,
      loss: record.loss, lr: record.lr, imagesPerSecond: record.imagesPerSecond,
      secondsLeft: plan.secondsLeft(afterStep: record.step, imagesPerSecond: record.imagesPerSecond),
      workers: record.workers,
      memoryFilled: min(1, Double(record.memoryRows) / Double(plan.configuration.memorySize)))
    state.withLock { state in
      do { try state.metrics.append(record) } catch { log(.warning, "\(error)") }
      state.newest = progress
      state.printer.show(progress, at: Date().timeIntervalSince1970)
    }
  }

  /// Shows the last step, and leaves it standing.
  func finish() {
    state.withLock { state in
      if let newest = state.newest { state.printer.finish(newest) }
    }
  }
}
