import ArgumentParser
import Configuration
import Foundation
import Services
import Training
import Wire

struct WorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker",
    abstract: "Computes slices for a coordinator; may come and go at any moment.",
    discussion: "Everything about the run comes from the coordinator, the pictures too unless --data has them.")

  @Option(help: "The coordinator's address, tcp://HOST:PORT.")
  var coordinator: String

  @Option(help: "A folder with the run's pictures, if this machine has one.")
  var data: String?

  @Option(help: "Slices computed at once.")
  var threads = ProcessInfo.processInfo.activeProcessorCount

  @Option(help: "The run's compute class: avx2, avx512 or neon.")
  var computeClass = "avx2"

  @Flag(help: "Neither encrypt nor prove who this is, though the coordinator is on another machine.")
  var insecure = false

  func validate() throws {
    guard (1...1024).contains(threads) else { throw ValidationError("--threads is \(threads), not 1 to 1024.") }
    guard ComputeClassName(rawValue: computeClass) != nil else {
      throw ValidationError("--compute-class is '\(computeClass)', not avx2, avx512 or neon.")
    }
  }

  func run() throws {
    let code = try reporting {
      try Relaunch.pin(ComputeClassName(rawValue: computeClass) ?? .avx2)
      let endpoint = try Endpoint(coordinator)
      let service = try WorkerService(
        WorkerOptions(
          coordinator: endpoint, data: data, threads: threads,
          security: .decide(for: endpoint, keys: nil, insecure: insecure), probe: probeDigest(),
          name: "\(ProcessInfo.processInfo.hostName)/\(ProcessInfo.processInfo.processIdentifier)"),
        log: printLog)
      let stopping = stopOnSignals { service.requestStop() }
      defer { withExtendedLifetime(stopping) {} }
      _ = try service.run()
      return ExitCode.success
    }
    throw code
  }
}
