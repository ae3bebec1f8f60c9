import Configuration

/// A memory that is another size from a resume on, and what that does to the training: for people.
package struct MemoryResize {
  let saved: RunConfiguration
  let given: RunConfiguration
  /// Rows enqueued before the resume.
  let rows: Int

  package init(saved: RunConfiguration, given: RunConfiguration, rows: Int) {
    self.saved = saved
    self.given = given
    self.rows = rows
  }

  /// Nil where the size stays.
  package var sentence: String? {
    let (old, new) = (saved.memorySize, given.memorySize)
    guard old != new else { return nil }
    let stored = min(rows, old)
    let blocks =
      saved.blocksUsed == given.blocksUsed
      ? "A step compares with \(given.blocksUsed) blocks as before, so each row is drawn \(new > old ? "less" : "more") often."
      : "A step compares with \(given.blocksUsed) blocks instead of \(saved.blocksUsed), and takes that much longer or "
        + "shorter."
    guard new > old else {
      return
        "memory_size shrinks from \(old) to \(new) rows: the \(max(0, stored - new)) oldest leave the memory now. They stay "
        + "on disk only as long as a kept checkpoint needs them, and a memory that grows again begins without them. "
        + blocks
    }
    let steps = (new - stored + given.batchSize - 1) / given.batchSize
    return
      "memory_size grows from \(old) to \(new) rows: its \(stored) rows stay, the other \(new - stored) begin as random "
      + "ones, as all did when the run began, and new rows have taken their place in \(steps) steps. Until then views are "
      + "compared with random rows too: expect another loss. \(blocks)"
  }
}
