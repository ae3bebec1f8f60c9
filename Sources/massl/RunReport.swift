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
  }
  private let plan: RunPlan
  private let state: Mutex<State>

  init(_ metrics: sending MetricsWriter, _ plan: RunPlan) {
    self.plan = plan
    state = Mutex(State(metrics: metrics))
  }

  func take(_ report: StepReport) {
    let record = report.record
    let left = Double((plan.lastStep - record.step) * plan.configuration.batchSize)
    state.withLock { state in
      do { try state.metrics.append(record) } catch { printLog(.warning, "\(error)") }
      state.printer.show(
        ProgressState(
          step: record.step, lastStep: plan.lastStep, epoch: Int(record.epoch), epochs: plan.configuration.epochs,
          loss: record.loss, lr: record.lr, imagesPerSecond: record.imagesPerSecond,
          secondsLeft: record.imagesPerSecond > 0 ? left / record.imagesPerSecond : nil, workers: record.workers,
          memoryFilled: min(1, Double(record.memoryRows) / Double(plan.configuration.memorySize))),
        at: Date().timeIntervalSince1970)
    }
  }
}
