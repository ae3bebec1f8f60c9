import Durability
import Numerics
import Synchronization

/// The coordinator's rows: appended to files of a fixed number of consecutive rows, and served from there.
///
/// A row is written once and never changes within an incarnation; RAM only caches the newest ones. `append` writes
/// through to the operating system, `flush` makes durable what was appended before it, and a manifest written after
/// the flush may name that many rows. A store opened at R rows takes those below R from the files and forgets the
/// rest, whatever a crash left there.
///
/// An extent whose last row was appended is whole: the flush after that puts its record into the ledger (`sealed`).
/// Shards copy it (`records`); once the ledger says durably who holds it (`record(holders:)`), its file may be let go of
/// (`release`). It can be fetched again (`begin`).
///
/// May be used from several threads: appending, serving and flushing each have their own.
public final class RowStore: Sendable {
  /// Files that are kept open for reading.
  static let openFilesAtMost = 128
  /// RAM for the newest rows, unless told otherwise; touched as rows come.
  public static let cacheBytes = 256 << 20

  public let layout: ExtentLayout
  let storage: any Storage
  let directory: String
  /// Held while it is written; taken before `state` where both are.
  private let ledger: Mutex<ExtentLedger>
  private let keepsLedger: Bool
  private let state: Mutex<State>

  private struct State: Sendable {
    var rows: Int
    var floor: Int
    var digest: MemoryDigest
    /// Where the chain stood before the first row of the extent that is appended to; nil if that is not known.
    var openedAt: Digest?
    /// Whole extents whose records are not in the ledger yet.
    var newlySealed: [ExtentRecord] = []
    /// Extents that have a file.
    var present: Set<Int> = []
    var files: [Int: any StorageFile] = [:]
    /// Extents written to since the last flush; each is in `files`.
    var dirty: Set<Int> = []
    /// Whether names in the directory changed since the last flush.
    var namesChanged = false
    var flushFailed = false
    /// Copies that were begun so far.
    var copies = 0
    /// Row r of the newest `cacheCapacity` rows at place r modulo that, as it is stored; those below `cachedFrom` are
    /// not there.
    let cache: FloatBuffer?
    let cacheCapacity: Int
    var cachedFrom: Int
  }

  /// Opens the memory of a run at a checkpoint, or makes an empty one.
  ///
  /// - Parameters:
  ///   - directory: of this run's memory alone; made if need be.
  ///   - layout: of its files.
  ///   - window: the memory as the checkpoint has it: its stored rows must be in the files, or with shards.
  ///   - digest: of the rows below `window.rows`.
  ///   - cacheBytes: the newest rows of the window are held in RAM, as many as this has room for. They are read, and
  ///     so checked, here.
  ///   - keepsLedger: whether whole extents are recorded; not where `digest` is not the chain's, as in a copy of a part.
  /// - Throws: `MemoryBankError` if a file that is needed is missing, damaged or another run's; `DurabilityError`.
  public init(
    storage: any Storage, directory: String, layout: ExtentLayout, window: MemoryWindow, digest: MemoryDigest,
    cacheBytes: Int = RowStore.cacheBytes, keepsLedger: Bool = true
  ) throws {
    invariant(window.size > 0 && window.rows >= 0 && window.floor >= 0, "\(window)")
    self.storage = storage
    self.directory = directory
    self.layout = layout
    self.keepsLedger = keepsLedger
    // 1. What is whole, as far as the checkpoint goes: later rows will be others.
    var ledger =
      keepsLedger
      ? try ExtentLedger(path: "\(directory)/\(Self.ledgerName)", run: layout.run, in: storage) : ExtentLedger()
    ledger.forget { layout.rows(of: $0).upperBound > window.rows }
    let open = layout.index(of: window.rows)
    let openedAt =
      switch (window.rows % layout.capacity, open) {
      case (0, _): digest.state
      case (_, 0): MemoryDigest().state
      default: ledger[open - 1]?.record.after
      }
    let cacheCapacity = min(window.size, cacheBytes / layout.rowSize)
    var state = State(
      rows: window.rows, floor: window.floor, digest: digest, openedAt: keepsLedger ? openedAt : nil,
      cache: cacheCapacity > 0 ? FloatBuffer(count: (cacheCapacity * layout.rowSize + 3) / 4) : nil,
      cacheCapacity: cacheCapacity, cachedFrom: window.rows)

    // 2. What is here.
    try storage.makeDurableDirectory(directory)
    var stale: [String] = []
    for name in try storage.list(directory) {
      if name.hasPrefix("rows-") && name.contains(ExtentStore.copySuffix) { stale.append(name) }
      guard let index = layout.index(named: name) else { continue }
      if index * layout.capacity < window.rows { state.present.insert(index) } else { stale.append(name) }
    }
    if !window.stored.isEmpty {
      let elsewhere = ledger.elsewhere
      for index in layout.index(of: window.stored.lowerBound)...layout.index(of: window.rows - 1) {
        guard state.present.contains(index) else {
          if elsewhere.contains(index) { continue }
          throw MemoryBankError.missingExtent(
            file: "\(directory)/\(layout.name(of: index))", rows: layout.rows(of: index))
        }
        try layout.check(
          headerOf: storage.open("\(directory)/\(layout.name(of: index))", .reading), index: index)
      }
    }
    // Only now: an older checkpoint whose own rows are gone must not cost those of a newer one.
    for name in stale { try storage.remove("\(directory)/\(name)") }
    state.namesChanged = !stale.isEmpty
    self.ledger = Mutex(ledger)
    self.state = Mutex(state)
    try fillCache(from: max(window.stored.lowerBound, window.rows - cacheCapacity))
  }

  package static let ledgerName = "extents.json"

  /// Rows appended so far: the next row's number.
  public var rows: Int { state.withLock { $0.rows } }

  /// Of all rows so far.
  public var digest: MemoryDigest { state.withLock { $0.digest } }
}

// MARK: - Appending

extension RowStore {
  /// Appends rows, `[any, width]`, in order. If it throws (a full disk, say) nothing is appended: try again later.
  public func append(_ rows: Matrix) throws {
    invariant(rows.columns == layout.width, "rows of \(rows.columns) floats, not \(layout.width)")
    try state.withLock { state in
      // 1. Files first: only rows that are written count.
      var index = 0
      var pieces: [(number: Int, records: [UInt8])] = []
      while index < rows.rows {
        let number = state.rows + index
        let count = min(rows.rows - index, layout.capacity - number % layout.capacity)
        let file = try writableFile(layout.index(of: number), &state)
        let records = layout.records(of: rows, index..<(index + count), firstNumber: number)
        state.dirty.insert(layout.index(of: number))
        try records.withUnsafeBytes { try file.write($0, at: layout.offset(of: number)) }
        pieces.append((number, records))
        index += count
      }
      // 2. Then what is kept in RAM.
      for piece in pieces {
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

  private func keep(_ row: UnsafeRawBufferPointer, _ number: Int, _ state: inout State) {
    withPlace(of: number, state) { $0.copyMemory(from: row) }
  }

  /// Lends a row's place in RAM, if there is a cache.
  private func withPlace(of number: Int, _ state: borrowing State, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
    guard let cache = state.cache else { return }
    let offset = number % state.cacheCapacity * layout.rowSize
    cache.withMutableBytes(of: 0..<cache.count) {
      body(UnsafeMutableRawBufferPointer(rebasing: $0[offset..<(offset + layout.rowSize)]))
    }
  }

  /// The file of an extent, made with all its space if it is new.
  private func writableFile(_ index: Int, _ state: inout State) throws -> any StorageFile {
    let path = "\(directory)/\(layout.name(of: index))"
    if state.present.contains(index) { return try openFile(index, &state) }
    let file = try storage.open(path, .replacing)
    state.namesChanged = true
    do {
      try file.allocate(layout.fileSize)
      try layout.header(of: index).withUnsafeBytes { try file.write($0, at: 0) }
    } catch {
      try storage.remove(path)
      throw error
    }
    state.present.insert(index)
    state.files[index] = file
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

  /// Removes the files whose rows are all below `row` and none of which is in `kept`: neither the window nor a kept
  /// checkpoint needs them.
  public func prune(below row: Int, except kept: [Range<Int>] = []) throws {
    let end = min(row, rows)
    let isGone = { [layout] (index: Int) in
      let rows = layout.rows(of: index)
      return rows.upperBound <= end && !kept.contains { $0.overlaps(rows) }
    }
    try state.withLock { state in
      for index in state.present.sorted() where isGone(index) { try removeFile(index, &state) }
    }
    // Written with its next change: until then it names extents that nobody looks for.
    ledger.withLock { $0.forget(where: isGone) }
  }

  private func removeFile(_ index: Int, _ state: inout State) throws {
    try storage.remove("\(directory)/\(layout.name(of: index))")
    state.present.remove(index)
    state.files[index] = nil
    state.dirty.remove(index)
    state.namesChanged = true
  }
}

// MARK: - Extents

extension RowStore: ExtentOwner {
  /// Whole extents, by what a power cut would leave of the ledger.
  public var sealed: [ExtentRecord] { ledger.withLock { $0.records } }

  /// The shards that hold each whole extent, by the ledger.
  public var holders: [Int: [Digest]] { ledger.withLock { $0.entries.mapValues(\.holders) } }

  /// The shards that hold extents, by the ledger.
  public var shards: [Digest: ExtentLedger.Shard] { ledger.withLock { $0.shards } }

  /// Extents that have a file here, the one that is appended to among them.
  public var localExtents: Set<Int> { state.withLock { $0.present } }

  /// Says durably which shards hold extents from now on; those without a record are left out.
  /// - Parameter shards: what there is to know of those shards.
  /// - Throws: `DurabilityError`: then nothing is changed.
  public func record(holders: [Int: [Digest]], shards: [Digest: ExtentLedger.Shard] = [:]) throws {
    try change { ledger in
      for (extent, shards) in holders { ledger.set(holders: shards, of: extent) }
      ledger.shards = shards
    }
  }

  /// Removes the files of extents that shards hold by the ledger; others stay.
  ///
  /// A resume at a checkpoint that ends within an extent needs its file: only extents wholly below the oldest kept
  /// checkpoint's rows may be released.
  public func release(_ extents: some Sequence<Int>) throws {
    let elsewhere = ledger.withLock { $0.elsewhere }
    try state.withLock { state in
      for extent in extents where elsewhere.contains(extent) && state.present.contains(extent) {
        try removeFile(extent, &state)
      }
    }
  }

  /// The records of consecutive rows of an extent, for a shard that copies it; checked before they leave.
  /// - Parameter first: of the extent's rows, 0..<capacity.
  /// - Throws: `MemoryBankError.extentNotHeld` for rows that are not here, or not yet; `.damagedRow`; `DurabilityError`.
  public func records(extent: Int, first: Int, count: Int) throws -> [UInt8] {
    invariant(extent >= 0 && first >= 0 && first < layout.capacity && count > 0, "\(count) rows from \(first) on")
    let number = extent * layout.capacity + first
    let count = min(count, layout.capacity - first)
    let file = try state.withLock { state in
      guard state.present.contains(extent), number + count <= state.rows else {
        throw MemoryBankError.extentNotHeld(directory: directory, row: number)
      }
      return try openFile(extent, &state)
    }
    return try layout.records(in: file, from: number, count: count)
  }

  /// Begins to fetch a whole extent from a shard: one that is not here, or is damaged.
  /// - Throws: `DurabilityError`, a full disk among them; nothing is left behind then.
  public func begin(_ record: ExtentRecord) throws -> ExtentWriter {
    let number = state.withLock { state in
      state.copies += 1
      return state.copies
    }
    return try ExtentWriter(
      owner: self, record: record, mark: 0,
      path: "\(directory)/\(layout.name(of: record.index))\(ExtentStore.copySuffix)\(number)")
  }

  func admit(_ file: any StorageFile, _ record: ExtentRecord) throws {
    try state.withLock { state in
      try storage.rename(file.path, to: "\(directory)/\(layout.name(of: record.index))")
      state.files[record.index] = nil
      state.present.insert(record.index)
    }
    try storage.synchronizeDirectory(directory)
  }

  func ended(_ file: any StorageFile, isSealed: Bool) {
    if !isSealed { try? storage.remove(file.path) }
  }

  /// Changes the ledger, and writes it if that is a change.
  private func change(_ body: (inout ExtentLedger) -> Void) throws {
    try ledger.withLock { ledger in
      var changed = ledger
      body(&changed)
      guard changed != ledger else { return }
      try changed.write(to: "\(directory)/\(Self.ledgerName)", run: layout.run, in: storage)
      ledger = changed
    }
  }
}

// MARK: - Reading

extension RowStore {
  /// Copies stored rows, by number and in the order given, as they are stored.
  /// - Parameter target: `numbers.count * layout.rowSize` bytes.
  /// - Throws: `MemoryBankError.notHeld` for a row that was pruned, is seeded or is yet to come, `.extentNotHeld` for one
  ///   that was released; `.damagedRow` if the file's bytes do not match their checksum; `DurabilityError`.
  public func read(_ numbers: [Int], into target: UnsafeMutableRawBufferPointer) throws {
    invariant(target.count == numbers.count * layout.rowSize, "\(target.count) bytes for \(numbers.count) rows")
    var fromFiles: [(place: Int, number: Int, file: any StorageFile)] = []
    try state.withLock { state in
      for (place, number) in numbers.enumerated() {
        guard number >= state.floor, number < state.rows else { throw notHeld(number, state) }
        if number >= state.cachedFrom {
          let start = place * layout.rowSize
          withPlace(of: number, state) {
            UnsafeMutableRawBufferPointer(rebasing: target[start..<(start + layout.rowSize)])
              .copyMemory(from: UnsafeRawBufferPointer($0))
          }
        } else {
          guard state.present.contains(layout.index(of: number)) else { throw notHeld(number, state) }
          fromFiles.append((place, number, try openFile(layout.index(of: number), &state)))
        }
      }
    }
    // Rows in files never change, so that these reads need no lock, and appending does not wait for the disk.
    try layout.read(fromFiles, into: target)
  }

  /// Which of these stored rows `read` would find here; the others were released.
  public func areHere(_ numbers: [Int]) -> [Bool] {
    state.withLock { state in
      numbers.map { $0 >= state.cachedFrom || state.present.contains(layout.index(of: $0)) }
    }
  }

  private func notHeld(_ number: Int, _ state: borrowing State) -> MemoryBankError {
    let oldest = state.present.min().map { $0 * layout.capacity } ?? state.rows
    let held = min(max(oldest, state.floor), state.rows)..<state.rows
    return held.contains(number)
      ? .extentNotHeld(directory: directory, row: number) : .notHeld(row: number, held: held)
  }

  private func openFile(_ index: Int, _ state: inout State) throws -> any StorageFile {
    if let file = state.files[index] { return file }
    if state.files.count >= Self.openFilesAtMost,
      let idle = state.files.keys.first(where: { !state.dirty.contains($0) })
    {
      state.files[idle] = nil
    }
    let file = try storage.open("\(directory)/\(layout.name(of: index))", .updating)
    try layout.check(headerOf: file, index: index)
    state.files[index] = file
    return file
  }

  /// Reads the rows from `first` on into the cache, many at a time; from the last one on whose file is not here.
  private func fillCache(from first: Int) throws {
    try state.withLock { state in
      guard state.cache != nil, first < state.rows else { return }
      var number = first
      let away = (layout.index(of: first)...layout.index(of: state.rows - 1)).last { !state.present.contains($0) }
      if let away { number = max(number, layout.rows(of: away).upperBound) }
      state.cachedFrom = min(number, state.rows)
      while number < state.rows {
        let count = min(state.rows - number, layout.capacity - number % layout.capacity, 1_024)
        let file = try openFile(layout.index(of: number), &state)
        try layout.records(in: file, from: number, count: count).withUnsafeBytes { bytes in
          layout.forEachRecord(in: bytes, from: number) { keep(layout.row(of: $1), $0, &state) }
        }
        number += count
      }
    }
  }
}
