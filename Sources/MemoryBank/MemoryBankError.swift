/// Why rows of the memory cannot be had.
public enum MemoryBankError: Error, Equatable, CustomStringConvertible {
  case damagedRow(file: String, row: Int)
  case damagedHeader(file: String)
  /// The file is whole, but not of this run, or of another shape.
  case foreignExtent(file: String, property: String, expected: String, found: String)
  case otherFormat(file: String, version: Int, supported: Int)
  /// Rows that a checkpoint needs are not there.
  case missingExtent(file: String, rows: Range<Int>)
  /// Rows that a checkpoint needs are with memory shards, none of which was among the directories searched.
  case rowsInShards(searched: [String], rows: [Range<Int>], shards: [String])
  /// A row was asked for that is not stored (any more, or yet).
  case notHeld(row: Int, held: Range<Int>)
  /// Rows of an extent that is not in this directory, or not whole.
  case extentNotHeld(directory: String, row: Int)
  /// What came as a copy of an extent is not that extent.
  case brokenCopy(extent: Int, reason: String)
  case damagedLedger(file: String)
  /// An earlier flush failed, so what the disk has of the rows since is unknown.
  case flushFailedBefore(directory: String)

  public var description: String {
    switch self {
    case .damagedRow(let file, let row):
      "\(file) is damaged: row \(row) does not match its checksum. Restore this file from a backup, or start a new run "
        + "from a checkpoint of this one."
    case .damagedHeader(let file):
      "\(file) is damaged: its header does not match its checksum. Restore this file from a backup, or start a new run "
        + "from a checkpoint of this one."
    case .foreignExtent(let file, let property, let expected, let found):
      "\(file) belongs elsewhere: its \(property) is \(found), not \(expected). Move it out of this run's memory."
    case .otherFormat(let file, let version, let supported):
      "\(file) has format \(version); this massl reads format \(supported). Use the massl that wrote it."
    case .missingExtent(let file, let rows):
      "\(file) is missing: it holds rows \(rows.lowerBound) to \(rows.upperBound - 1), which the memory needs. Restore "
        + "it from a backup, or start a new run from a checkpoint of this one."
    case .rowsInShards(let searched, let rows, let shards):
      "rows \(Self.list(rows.map { "\($0.lowerBound) to \($0.upperBound - 1)" })) are not in "
        + "\(searched.joined(separator: ", ")): the run has them on memory shards \(Self.list(shards)). Give the "
        + "directory of each with --shard."
    case .notHeld(let row, let held):
      "row \(row) is not stored here; rows \(held.lowerBound) to \(held.upperBound - 1) are."
    case .extentNotHeld(let directory, let row):
      "row \(row) is not in \(directory). Ask another shard, or the coordinator."
    case .brokenCopy(let extent, let reason):
      "what came as a copy of extent \(extent) is not that extent: \(reason). It is fetched again; if that stays so, "
        + "check the disk and the network of the shard that it came from."
    case .damagedLedger(let file):
      "\(file) is damaged: it says which shards hold which rows. Restore it from a backup, or start a new run from a "
        + "checkpoint of this one."
    case .flushFailedBefore(let directory):
      "rows in \(directory) could not be made durable before, so the disk may lack some. Check the disk, then start "
        + "the coordinator again: it resumes from the newest checkpoint."
    }
  }

  /// The first few of them.
  private static func list(_ words: [String]) -> String {
    let shown = words.prefix(8).joined(separator: ", ")
    return words.count > 8 ? "\(shown) and \(words.count - 8) more" : shown
  }
}
