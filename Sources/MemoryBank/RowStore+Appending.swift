import Durability
import Numerics

extension RowStore {
  /// Appends rows, `[any, width]`, in order. If it throws (a full disk, say) nothing is appended: try again later.
  public func append(_ rows: Matrix) throws {
    invariant(rows.columns == layout.width, "rows of \(rows.columns) floats, not \(layout.width)")
    // 1. Files first: only rows that are written count. One thread appends, and nobody reads them before they do.
    let first = self.rows
    var index = 0
    var pieces: [(number: Int, records: [UInt8], file: any StorageFile)] = []
    while index < rows.rows {
      let number = first + index
      let count = min(rows.rows - index, layout.capacity - number % layout.capacity)
      let file = try writableFile(layout.index(of: number))
      let records = layout.records(of: rows, index..<(index + count), firstNumber: number)
      try records.withUnsafeBytes { try file.write($0, at: layout.offset(of: number)) }
      pieces.append((number, records, file))
      index += count
    }
    // 2. Then what is kept in RAM.
    state.withLock { state in
      for piece in pieces {
        // Open until it is flushed, whatever was closed meanwhile.
        state.files[layout.index(of: piece.number)] = piece.file
        state.dirty.insert(layout.index(of: piece.number))
        piece.records.withUnsafeBytes { bytes in
          layout.forEachRecord(in: bytes, from: piece.number) { number, record in
            state.digest.append(row: layout.row(of: record))
            keep(layout.row(of: record), number, &state)
          }
        }
        let end = piece.number + piece.records.count / layout.recordSize
        if end % layout.capacity == 0 { seal(layout.index(of: piece.number), &state) }
      }
      state.rows += rows.rows
      state.cachedFrom = max(state.cachedFrom, state.rows - state.cacheCapacity)
    }
  }

  private func seal(_ index: Int, _ state: inout State) {
    if let before = state.openedAt {
      state.newlySealed.append(ExtentRecord(index: index, before: before, after: state.digest.state))
    }
    // From here on the chain is known, unless it never was this run's.
    state.openedAt = keepsLedger ? state.digest.state : nil
  }

  /// The file of an extent, made with all its space if it is new.
  private func writableFile(_ index: Int) throws -> any StorageFile {
    let path = "\(directory)/\(layout.name(of: index))"
    let known = try state.withLock { state in state.present.contains(index) ? try openFile(index, &state) : nil }
    if let known { return known }
    let file = try storage.open(path, .replacing)
    state.withLock { $0.namesChanged = true }
    do {
      try file.allocate(layout.fileSize)
      try layout.header(of: index).withUnsafeBytes { try file.write($0, at: 0) }
    } catch {
      try storage.remove(path)
      throw error
    }
    state.withLock { state in
      state.present.insert(index)
      state.files[index] = file
    }
    return file
  }

  /// Returns when all rows appended before the call would survive a power cut, and the ledger names the extents that
  /// have become whole.
  ///
  /// Once synchronizing has failed it always throws: after a failed fsync the kernel may have dropped what it could not
  /// write, and a second fsync would not say so.
  /// - Returns: the extents that the ledger names since this call.
  @discardableResult
  public func flush() throws -> [ExtentRecord] {
    let (files, namesChanged, sealed) = try state.withLock { state in
      if state.flushFailed { throw MemoryBankError.flushFailedBefore(directory: directory) }
      let files = state.dirty.sorted().compactMap { state.files[$0] }
      defer { (state.dirty, state.namesChanged) = ([], false) }
      return (files, state.namesChanged, state.newlySealed)
    }
    do {
      for file in files { try file.synchronize() }
      if namesChanged { try storage.synchronizeDirectory(directory) }
    } catch {
      state.withLock { $0.flushFailed = true }
      throw error
    }
    guard !sealed.isEmpty else { return [] }
    try change { ledger in for record in sealed { ledger.add(record) } }
    state.withLock { $0.newlySealed.removeAll { sealed.contains($0) } }
    return sealed
  }
}
