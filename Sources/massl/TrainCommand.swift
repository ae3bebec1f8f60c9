import ArgumentParser
import Configuration
import Coordination
import Foundation
import Services
import Wire

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Trains on this machine: starts a coordinator and workers, and watches over them.",
    discussion: ConfigurationOptions.keys)

  @Option(help: "The folder of the pictures, at any depth.")
  var data: String

  @Option(name: .customLong("run"), help: "The run directory; a run that is there is resumed.")
  var runDirectory: String

  @Option(help: "Worker processes; the cores are split between them.")
  var workers = 1

  @Option(help: "A key=value that a resumed run is to have from now on; may be repeated.")
  var change: [String] = []

  @OptionGroup var settings: ConfigurationOptions

  func validate() throws {
    guard (1...64).contains(workers) else { throw ValidationError("--workers is \(workers), not 1 to 64.") }
  }

  func run() throws {
    let code = try reporting {
      let computeClass = try RunConfiguration(layers: settings.layers()).computeClass
      let addressPath = runDirectory + "/" + CoordinatorService.addressFile
      try? FileManager.default.removeItem(atPath: addressPath)
      let coordinator = try start(
        ["coordinator", "--data", data, "--run", runDirectory] + change.flatMap { ["--change", $0] }
          + (settings.config.map { ["--config", $0] } ?? []) + settings.settings
          + ["--listen", "tcp://127.0.0.1:*"])
      let stopping = stopOnSignals { coordinator.terminate() }
      defer { withExtendedLifetime(stopping) {} }
      guard let address = waitForAddress(addressPath, coordinator) else {
        coordinator.waitUntilExit()
        return ExitCode(coordinator.terminationStatus == 0 ? 1 : coordinator.terminationStatus)
      }
      let cores = ProcessInfo.processInfo.activeProcessorCount
      var running = try (0..<workers).map { index in
        try startWorker(address, threads: max(1, cores / workers), computeClass)
      }
      // A worker that dies is started again: it owns nothing, so nothing is lost.
      while coordinator.isRunning {
        Thread.sleep(forTimeInterval: 0.1)
        for index in running.indices where !running[index].isRunning && coordinator.isRunning {
          if running[index].terminationReason == .exit && running[index].terminationStatus == 0 { continue }
          printLog(.warning, "Worker \(running[index].processIdentifier) ended; starting another.")
          Thread.sleep(forTimeInterval: 0.5)
          running[index] = try startWorker(address, threads: max(1, cores / workers), computeClass)
        }
      }
      for worker in running where worker.isRunning { worker.terminate() }
      for worker in running { worker.waitUntilExit() }
      return ExitCode(coordinator.terminationReason == .exit ? coordinator.terminationStatus : 75)
    }
    throw code
  }

  private func startWorker(_ address: String, threads: Int, _ computeClass: ComputeClassName) throws -> Process {
    try start([
      "worker", "--coordinator", address, "--data", data, "--threads", "\(threads)", "--compute-class",
      computeClass.rawValue,
    ])
  }

  private func start(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments
    try process.run()
    return process
  }

  /// The coordinator's address, once it listens; nil if it ends before.
  private func waitForAddress(_ path: String, _ coordinator: Process) -> String? {
    while coordinator.isRunning {
      if let text = try? String(contentsOfFile: path, encoding: .utf8), text.hasSuffix("\n") {
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
      }
      Thread.sleep(forTimeInterval: 0.05)
    }
    return nil
  }
}
