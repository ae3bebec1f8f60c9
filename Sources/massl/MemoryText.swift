import Coordination
import Foundation
import Printing

/// What `massl memory list` prints for people.
package enum MemoryText {
  package static func render(_ status: MemoryStatus) -> String {
    var lines = [
      "\(status.extents) extents of \(status.rowsPerExtent) rows, \(status.replicas) replicas wanted; "
        + "\(status.localExtents) in the coordinator's files; oldest row \(status.oldestRow), of step "
        + "\(status.oldestRowStep)"
    ]
    let asked = max(1, status.rowsCached + status.rowsFetched)
    lines.append(
      String(format: "%.0f rows/s, %.1f MB/s served", status.rowsPerSecond, status.bytesPerSecond / 1e6)
        + "; workers fetched \(status.rowsFetched) rows, had \(status.rowsCached) cached"
        + String(
          format: " (%.1f %%), and waited %.1f s for rows", 100 * Double(status.rowsCached) / Double(asked),
          status.rowWaitSeconds))
    if status.copiesToMake > 0 { lines.append("copying: \(status.copiesToMake) to make, \(status.copiesMade) made") }
    if status.movesToMake > 0 {
      lines.append("moving to emptier shards: \(status.movesToMake) to move, \(status.movesMade) moved")
    }
    if status.damagedExtents > 0 { lines.append("damaged and copied again: \(status.damagedExtents)") }
    if let waiting = status.waiting { lines.append(waiting) }
    if status.shards.isEmpty { lines.append("no shards: the memory is the coordinator's alone") }
    for shard in status.shards {
      var line = "\(shard.id)  \(shard.name)  \(shard.state)"
      if let endpoint = shard.endpoint { line += "  \(endpoint)" }
      line += "  \(shard.extents) extents, \(bytes(shard.bytes)) of \(bytes(shard.capacityBytes))"
      if shard.pulling > 0 { line += ", pulling \(shard.pulling)" }
      line += String(format: "  %.0f rows/s, %.1f MB/s", shard.rowsPerSecond, shard.bytesPerSecond / 1e6)
      line += ", \(shard.servedRows) rows (\(bytes(shard.servedBytes))) served"
      if shard.state == "away" { line += String(format: "  not heard for %.0f s", shard.secondsSinceHeard) }
      if let problem = shard.problem { line += "  \(problem)" }
      lines.append(line)
    }
    return lines.map(\.printable).joined(separator: "\n")
  }

  private static func bytes(_ count: Int) -> String {
    let units: [(String, Double)] = [("TiB", 0x1p40), ("GiB", 0x1p30), ("MiB", 0x1p20), ("KiB", 0x1p10)]
    for (name, size) in units where Double(count) >= size {
      return String(format: "%.1f %@", Double(count) / size, name)
    }
    return "\(count) B"
  }
}
