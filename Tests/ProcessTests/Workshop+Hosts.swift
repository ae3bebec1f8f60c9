import Foundation
import TestSupport
import Testing

/// Runs whose workers are on this machine, as if of a host each, so that they exchange weights and gradients.
extension Workshop {
  /// Where a worker listens that others shall reach.
  static let listening = ["--listen", "tcp://127.0.0.1:0"]

  /// - Parameters:
  ///   - recipe: flags of the run besides the workshop's.
  ///   - listen: the address of the start before, or a free port.
  func exchanging(
    _ run: String, _ recipe: [String], exchange: String = "always", listen: String = "tcp://127.0.0.1:0"
  ) throws -> (process: Process, address: String) {
    let process = try Program.start(
      coordinator(run, listen) + recipe + ["--exchange", exchange], log: "\(folder)/\(run).log")
    return (process, try address(run))
  }

  func worker(_ host: String, _ address: String, _ extra: [String] = []) throws -> Process {
    try Program.start(
      ["worker", "--coordinator", address, "--threads", "1", "--host", host, "--data", data] + extra,
      log: "\(folder)/\(host).log")
  }

  /// Of a run's coordinator, or of a host's workers.
  func log(_ name: String) -> String {
    (try? String(contentsOfFile: "\(folder)/\(name).log", encoding: .utf8)) ?? ""
  }

  func status(_ run: String) throws -> [String: Any] {
    let ended = try Program.run(["status", "--run", self.run(run), "--json"])
    let status = try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any]
    return status ?? [:]
  }

  /// The records of a run's steps.
  func records(_ run: String) -> String {
    (try? String(contentsOfFile: self.run(run) + "/metrics.jsonl", encoding: .utf8)) ?? ""
  }

  func stepsDone(_ run: String) -> Int { records(run).count { $0 == "\n" } }
}
