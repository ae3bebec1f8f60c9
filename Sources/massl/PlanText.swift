import Foundation
import Planning

/// What `massl plan` prints for people.
package enum PlanText {
  package static func render(_ plan: DeploymentPlan) -> String {
    var lines: [String] = []
    // 1. Time.
    lines += [
      "\(count(plan.workers, "worker")) of \(count(plan.threads, "thread")), "
        + "\(plan.shards == 0 ? "no shards" : count(plan.shards, "shard")), links of "
        + "\(LinkSpeed(bitsPerSecond: plan.linkBitsPerSecond))/s\(plan.isEncrypted ? ", encrypted" : "")",
      String(
        format: "sgemm %.1f GFLOP/s a worker, of which slices come to %.2f; copies %.1f GB/s",
        plan.sgemmPerSecond / 1e9,
        plan.efficiency, plan.copyBytesPerSecond / 1e9),
      String(
        format: "%d parameters, %.2f GFLOP an image, %.4g GFLOP a step", plan.parameters, plan.operationsPerImage / 1e9,
        plan.operationsPerStep / 1e9),
      "",
      String(
        format: "a step takes %@: %.2f images/s (%.2f if all threads did nothing but compute)",
        seconds(plan.stepSeconds),
        plan.imagesPerSecond, plan.imagesPerSecondOfComputing),
      "  " + phases(plan).map { "\($0.name) \(seconds($0.seconds))" }.joined(separator: ", "),
      String(
        format: "  %.1f gradients %@; of %.0f rows a worker fetches %.0f, for %.1f %% are in its cache",
        plan.gradientsPerStep, plan.reducers > 0 ? "added up by \(count(plan.reducers, "worker"))" : "pushed",
        plan.rowsPerStep, plan.rowsFetchedPerStep, 100 * plan.rowHitShare),
    ]
    if plan.slicesPerStep < plan.workers * plan.threads {
      lines.append(
        "  a step has \(plan.slicesPerStep) slices: no more of the \(plan.workers * plan.threads) threads compute at once"
      )
    }
    if plan.auditSeconds > 0.0005 * plan.stepSeconds {
      lines.append(
        "  audits take \(seconds(plan.auditSeconds)) of a step in the mean; threads without a slice would hide that")
    }
    lines += [
      "saturates first: \(plan.saturatesFirst)"
    ]
    lines += plan.uses.map { String(format: "  %5.1f %%  %@", 100 * $0.share, $0.resource) }
    // 2. Traffic.
    lines += ["", "traffic" + pad("a step", 58) + pad("a second", 15) + pad("requests/s", 14)]
    lines += plan.links.map { link in
      let name = "  \(link.from) -> \(link.to): \(link.content)"
      return name.padding(toLength: max(name.count, 52), withPad: " ", startingAt: 0)
        + pad(bytes(link.bytesPerStep), 13) + pad("\(bytes(link.bytesPerSecond))/s", 15)
        + pad(String(format: "%.1f", link.requestsPerSecond), 14)
    }
    // 3. Memory and disks.
    for process in plan.processes {
      lines += ["", process.count == 1 ? process.name : "each of \(process.count) \(process.name)s"]
      for (place, shares, sum) in [
        ("memory", process.memory, process.memoryBytes), ("disk", process.disk, process.diskBytes),
      ] where sum > 0 {
        lines.append("  " + place.padding(toLength: 7, withPad: " ", startingAt: 0) + pad(bytes(Double(sum)), 12))
        lines += shares.map { "    " + pad(bytes(Double($0.bytes)), 15) + "  \($0.content)" }
      }
    }
    return lines.joined(separator: "\n")
  }

  /// A step's, one after the other; without those that it has not.
  private static func phases(_ plan: DeploymentPlan) -> [(name: String, seconds: Double)] {
    let all = [
      ("weights", plan.phases.weights), ("waiting for rows", plan.phases.rows), ("slices", plan.phases.slices),
      ("gradients", plan.phases.gradients), ("adding up", plan.phases.reduce), ("update", plan.phases.update),
    ]
    return all.filter { $0.0 != "adding up" || plan.reducers > 0 }
  }

  private static func count(_ count: Int, _ name: String) -> String { "\(count) \(name)\(count == 1 ? "" : "s")" }

  private static func pad(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(1, width - text.count)) + text
  }

  private static func seconds(_ seconds: Double) -> String {
    seconds < 1 ? String(format: "%.1f ms", seconds * 1e3) : String(format: "%.2f s", seconds)
  }

  private static func bytes(_ count: Double) -> String {
    let units: [(String, Double)] = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)]
    for (name, size) in units where count >= size { return String(format: "%.1f %@", count / size, name) }
    return String(format: "%.0f B", count)
  }
}
