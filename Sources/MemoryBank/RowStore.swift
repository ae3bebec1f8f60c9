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
/// May be used from several threads: appending, serving and flushing each have their own. Nobody who serves waits for the
/// disk to write, make or remove a file: beside a checkpoint that can take seconds.
public final class RowStore: Sendable {
  /// Files that are kept open for reading.
  static let openFilesAtMost = 128
  /// RAM for the newest rows, unless told otherwise; touched as rows come.
  public static let cacheBytes = 256 << 20

  public let layout: ExtentLayout
  let storage: any Storage
  let directory: String
  /// Held while it is written; taken before `state` where both are.
  let ledger: Mutex<ExtentLedger>
  let keepsLedger: Bool
  /// Held while files of whole extents get or lose their names; taken before `state` where both are.
  let naming = Mutex(())
  let state: Mutex<State>

  struct State: Sendable {
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
    // An extent that was fetched may have a name that a power cut would still take: see `ExtentStore`.
    try storage.synchronizeDirectory(directory)
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

// MARK: - What appending, serving and copying share

extension RowStore {
  func openFile(_ index: Int, _ state: inout State) throws -> any StorageFile {
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

  /// Forgets extents, then removes their files.
  /// - Parameter choose: which, of those that are here.
  func removeFiles(_ choose: (Set<Int>) -> [Int]) throws {
    try naming.withLock { _ in
      let removed = state.withLock { state in
        let removed = choose(state.present)
        for index in removed {
          state.present.remove(index)
          state.files[index] = nil
          state.dirty.remove(index)
        }
        return removed
      }
      guard !removed.isEmpty else { return }
      var left = removed[...]
      // What is still there is tried again the next time.
      defer {
        state.withLock { state in
          state.present.formUnion(left)
          state.namesChanged = true
        }
      }
      while let index = left.first {
        try storage.remove("\(directory)/\(layout.name(of: index))")
        left.removeFirst()
      }
    }
  }

  func keep(_ row: UnsafeRawBufferPointer, _ number: Int, _ state: inout State) {
    withPlace(of: number, state) { $0.copyMemory(from: row) }
  }

  /// Lends a row's place in RAM, if there is a cache.
  func withPlace(of number: Int, _ state: borrowing State, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
    guard let cache = state.cache else { return }
    let offset = number % state.cacheCapacity * layout.rowSize
    cache.withMutableBytes(of: 0..<cache.count) {
      body(UnsafeMutableRawBufferPointer(rebasing: $0[offset..<(offset + layout.rowSize)]))
    }
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

  /// Changes the ledger, and writes it if that is a change.
  func change(_ body: (inout ExtentLedger) -> Void) throws {
    try ledger.withLock { ledger in
      var changed = ledger
      body(&changed)
      guard changed != ledger else { return }
      try changed.write(to: "\(directory)/\(Self.ledgerName)", run: layout.run, in: storage)
      ledger = changed
    }
  }
}
