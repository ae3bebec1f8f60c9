import Foundation
import Services
import Synchronization
import Telemetry
import Training

/// Steps as they are done: to metrics.jsonl and evaluations.jsonl, on stderr, and to the service manager.
final class RunReport: Sendable {
  private struct State {
    let metrics: MetricsWriter
    /// Nil where nothing is evaluated, and nothing was.
    let evaluations: MetricsWriter?
    var printer = ProgressPrinter()
    var newest: ProgressState?
    /// When the service manager was told, in seconds.
    var told = -Double.infinity
  }
  /// Between two lines for the service manager, in seconds.
  private static let pause = 1.0

  private let definition: RunDefinition
  private let manager: ServiceManager?
  private let log: ServiceLog
  private let state: Mutex<State>

  init(
    _ metrics: sending MetricsWriter, evaluations: sending MetricsWriter?, _ definition: RunDefinition,
    manager: ServiceManager?, log: @escaping ServiceLog
  ) {
    self.definition = definition
    self.manager = manager
    self.log = log
    state = Mutex(State(metrics: metrics, evaluations: evaluations))
  }

  func take(_ evaluation: EvaluationRecord) {
    state.withLock { state in
      do { try state.evaluations?.append(evaluation) } catch { log(.warning, "\(error)") }
    }
  }

  func take(_ report: StepReport) {
    let record = report.record
    let progress = ProgressState(
      step: record.step, lastStep: definition.lastStep, epoch: definition.runningEpoch(afterStep: record.step),
      epochs: definition.epochsBegun,
      loss: record.loss, lr: record.lr, imagesPerSecond: record.imagesPerSecond,
      secondsLeft: definition.secondsLeft(afterStep: record.step, imagesPerSecond: record.imagesPerSecond),
      workers: record.workers,
      memoryFilled: min(1, Double(record.memoryRows) / Double(definition.configuration.memorySize)))
    let now = Date().timeIntervalSince1970
    state.withLock { state in
      do { try state.metrics.append(record) } catch { log(.warning, "\(error)") }
      state.newest = progress
      state.printer.show(progress, at: now)
      guard let manager, now - state.told >= Self.pause else { return }
      state.told = now
      manager.tell(.status(ProgressLine.render(progress, width: .max)))
    }
  }

  /// Shows the last step, and leaves it standing.
  func finish() {
    state.withLock { state in
      if let newest = state.newest { state.printer.finish(newest) }
    }
  }
}
