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
/// May be used from several threads: appending, serving and flushing each have their own.
public final class RowStore: Sendable {
  /// Files that are kept open for reading.
  static let openFilesAtMost = 128
  /// 65,536 rows of 256 floats; wider rows have fewer to a file.
  static let fileSizeAtMost = 64 << 20

  let storage: any Storage
  private let directory: String
  let layout: ExtentLayout
  private let state: Mutex<State>

  private struct State: Sendable {
    var rows: Int
    var floor: Int
    var digest: MemoryDigest
    /// Extents that have a file.
    var present: Set<Int> = []
    var files: [Int: any StorageFile] = [:]
    /// Extents written to since the last flush; each is in `files`.
    var dirty: Set<Int> = []
    /// Whether names in the directory changed since the last flush.
    var namesChanged = false
    var flushFailed = false
    /// Row r of the newest `cacheCapacity` rows at place r modulo that; those below `cachedFrom` are not there.
    let cache: FloatBuffer?
    let cacheCapacity: Int
    var cachedFrom: Int
  }

  /// Opens the memory of a run at a checkpoint, or makes an empty one.
  ///
  /// - Parameters:
  ///   - directory: of this run's memory alone; made if need be.
  ///   - run: the run's identity, in every file's header.
  ///   - width: floats a row.
  ///   - window: the memory as the checkpoint has it: its stored rows must be in the files.
  ///   - digest: of the rows below `window.rows`.
  ///   - cacheBytes: the newest rows of the window are held in RAM, as many as this has room for. They are read, and
  ///     so checked, here.
  ///   - rowsPerExtent: rows a file; by default as many as make at most 64 MiB, a power of two, at most 65,536.
  /// - Throws: `MemoryBankError` if a file that is needed is missing, damaged or another run's; `DurabilityError`.
  public init(
    storage: any Storage, directory: String, run: Digest, width: Int, window: MemoryWindow, digest: MemoryDigest,
    cacheBytes: Int, rowsPerExtent: Int? = nil
  ) throws {
    invariant(width > 0 && window.size > 0 && window.rows >= 0 && window.floor >= 0, "\(window), width \(width)")
    self.storage = storage
    self.directory = directory
    layout = ExtentLayout(run: run, width: width, capacity: rowsPerExtent ?? Self.rowsPerExtent(width: width))
    let cacheCapacity = min(window.size, cacheBytes / (width * MemoryLayout<Float>.stride))
    var state = State(
      rows: window.rows, floor: window.floor, digest: digest,
      cache: cacheCapacity > 0 ? FloatBuffer(count: cacheCapacity * width) : nil, cacheCapacity: cacheCapacity,
      cachedFrom: window.rows)

    try storage.makeDurableDirectory(directory)
    var stale: [String] = []
    for name in try storage.list(directory) {
      guard let index = layout.index(named: name) else { continue }
      if index * layout.capacity < window.rows { state.present.insert(index) } else { stale.append(name) }
    }
    if !window.stored.isEmpty {
      for index in layout.index(of: window.stored.lowerBound)...layout.index(of: window.rows - 1) {
        guard state.present.contains(index) else {
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
    self.state = Mutex(state)
    try fillCache(from: max(window.stored.lowerBound, window.rows - cacheCapacity))
  }

  static func rowsPerExtent(width: Int) -> Int {
    var rows = 65_536
    while rows > 1 && rows * width * MemoryLayout<Float>.stride > fileSizeAtMost { rows /= 2 }
    return rows
  }

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
      while index < rows.rows {
        let number = state.rows + index
        let count = min(rows.rows - index, layout.capacity - number % layout.capacity)
        let file = try writableFile(layout.index(of: number), &state)
        let records = layout.records(of: rows, index..<(index + count), firstNumber: number)
        state.dirty.insert(layout.index(of: number))
        try records.withUnsafeBytes { try file.write($0, at: layout.offset(of: number)) }
        index += count
      }
      // 2. Then what is kept in RAM.
      state.digest.append(rows)
      if let cache = state.cache {
        for index in max(0, rows.rows - state.cacheCapacity)..<rows.rows {
          let place = cache.matrix(rows: state.cacheCapacity, columns: layout.width)
          place.withMutableBytes(ofRow: (state.rows + index) % state.cacheCapacity) { target in
            rows.withBytes(ofRow: index) { target.copyMemory(from: $0) }
          }
        }
      }
      state.rows += rows.rows
      state.cachedFrom = max(state.cachedFrom, state.rows - state.cacheCapacity)
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

  /// Returns when all rows appended before the call would survive a power cut.
  ///
  /// Once it has thrown it always throws: after a failed fsync the kernel may have dropped what it could not write,
  /// and a second fsync would not say so.
  public func flush() throws {
    let (files, namesChanged) = try state.withLock { state in
      if state.flushFailed { throw MemoryBankError.flushFailedBefore(directory: directory) }
      let files = state.dirty.sorted().compactMap { state.files[$0] }
      defer { (state.dirty, state.namesChanged) = ([], false) }
      return (files, state.namesChanged)
    }
    do {
      for file in files { try file.synchronize() }
      if namesChanged { try storage.synchronizeDirectory(directory) }
    } catch {
      state.withLock { $0.flushFailed = true }
      throw error
    }
  }

  /// Removes the files whose rows are all below `row`: neither the window nor a kept checkpoint needs them.
  public func prune(below row: Int) throws {
    try state.withLock { state in
      for index in state.present.sorted() where layout.rows(of: index).upperBound <= min(row, state.rows) {
        try storage.remove("\(directory)/\(layout.name(of: index))")
        state.present.remove(index)
        state.files[index] = nil
        state.dirty.remove(index)
        state.namesChanged = true
      }
    }
  }
}

// MARK: - Reading

extension RowStore {
  /// Copies stored rows, by number and in the order given, into the rows of a matrix `[numbers.count or more, width]`.
  /// - Throws: `MemoryBankError.notHeld` for a row that was pruned, is seeded or is yet to come;
  ///   `MemoryBankError.damagedRow` if the file's bytes do not match their checksum; `DurabilityError`.
  public func read(_ numbers: [Int], into rows: Matrix) throws {
    invariant(rows.columns == layout.width && rows.rows >= numbers.count)
    var fromFiles: [(index: Int, number: Int, file: any StorageFile)] = []
    try state.withLock { state in
      for (index, number) in numbers.enumerated() {
        guard number >= state.floor, number < state.rows else { throw notHeld(number, state) }
        if number >= state.cachedFrom, let cache = state.cache {
          let place = cache.matrix(rows: state.cacheCapacity, columns: layout.width)
          rows.withMutableBytes(ofRow: index) { target in
            place.withBytes(ofRow: number % state.cacheCapacity) { target.copyMemory(from: $0) }
          }
        } else {
          guard state.present.contains(layout.index(of: number)) else { throw notHeld(number, state) }
          fromFiles.append((index, number, try openFile(layout.index(of: number), &state)))
        }
      }
    }
    // Rows in files never change, so that these reads need no lock, and appending does not wait for the disk.
    var record = [UInt8](repeating: 0, count: layout.recordSize)
    for (index, number, file) in fromFiles {
      try record.withUnsafeMutableBytes { record in
        try file.read(at: layout.offset(of: number), into: record)
        let isWhole = rows.withMutableBytes(ofRow: index) {
          layout.read(UnsafeRawBufferPointer(record), number: number, into: $0)
        }
        guard isWhole else { throw MemoryBankError.damagedRow(file: file.path, row: number) }
      }
    }
  }

  private func notHeld(_ number: Int, _ state: borrowing State) -> MemoryBankError {
    let oldest = state.present.min().map { $0 * layout.capacity } ?? state.rows
    return .notHeld(row: number, held: min(max(oldest, state.floor), state.rows)..<state.rows)
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

  /// Reads the rows from `first` on into the cache, many at a time.
  private func fillCache(from first: Int) throws {
    try state.withLock { state in
      guard let cache = state.cache else { return }
      let places = cache.matrix(rows: state.cacheCapacity, columns: layout.width)
      var number = first
      while number < state.rows {
        let count = min(state.rows - number, layout.capacity - number % layout.capacity, 1_024)
        let file = try openFile(layout.index(of: number), &state)
        var records = [UInt8](repeating: 0, count: count * layout.recordSize)
        try records.withUnsafeMutableBytes { records in
          try file.read(at: layout.offset(of: number), into: records)
          for index in 0..<count {
            let record = records[(index * layout.recordSize)..<((index + 1) * layout.recordSize)]
            let isWhole = places.withMutableBytes(ofRow: (number + index) % state.cacheCapacity) {
              layout.read(UnsafeRawBufferPointer(rebasing: record), number: number + index, into: $0)
            }
            guard isWhole else { throw MemoryBankError.damagedRow(file: file.path, row: number + index) }
          }
        }
        number += count
      }
      state.cachedFrom = first
    }
  }
}
