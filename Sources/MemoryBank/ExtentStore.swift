import Durability
import Glibc
import Numerics
import Synchronization

/// A directory of whole extents, copied from elsewhere: a shard's disk.
///
///     let writer = try store.begin(record)          // the disk's space is taken here
///     try writer.append(records: bytes)             // each checked
///     try writer.seal()                             // durable from now on, and in `held`
///     try store.read([17, 4, 18], into: frame)
///
/// A copy under way has a name of its own ("rows-000000065536.part-1") and takes the extent's name once it is whole and
/// durable: a crash leaves whole extents only, and a copy of one that is damaged replaces it in one moment. Copies that
/// a crash cut short are removed at the next start.
///
/// May be used from several threads. The caller locks the directory: a second store would remove the first one's copies.
public final class ExtentStore: Sendable, ExtentOwner {
  /// Files that are kept open for reading, unless more are allowed.
  public static let openFilesAtMost = 512
  /// Files that are kept mapped: 256 GiB of usual ones, whose page tables take half a GiB once all of it was touched.
  static let mappedFilesAtMost = 4096
  /// Rows that are copied, then checked, while they are in the cache next to the core.
  private static let rowsTogether = 16
  /// Nanoseconds of processor time, for a busy machine makes all else longer. A row that comes from memory takes 100, and
  /// 700 if the disk is told of it first; one that comes from a disk some 5,000 at least.
  private static let rowFromMemory = 2_500

  public let layout: ExtentLayout
  let storage: any Storage
  let directory: String
  private let openFilesAtMost: Int
  private let state: Mutex<State>
  /// Rows came from the disk lately: it is told of all rows of a request before the first is waited for.
  private let isCold = Atomic<Bool>(false)

  private struct State: Sendable {
    var held: [Int: UInt64] = [:]
    var damaged: Set<Int> = []
    var files: [Int: any StorageFile] = [:]
    var mappings: [Int: FileMapping] = [:]
    /// Where a request's extents are in its pieces, at the extent's number modulo the count: found without hashing.
    var places = [Place](repeating: Place(), count: 1024)
    var requests = 0
    /// Copies under way.
    var copies = 0
    /// Names given to copies so far.
    var copyNames = 0
  }

  private struct Place: Sendable {
    var request = 0
    var extent = 0
    var piece = 0
  }

  /// Opens a directory, made if need be, and looks at the header of every extent in it.
  /// - Throws: `MemoryBankError` for a file of another run, shape or newer format: nothing was changed then;
  ///   `DurabilityError`.
  public init(
    storage: any Storage, directory: String, layout: ExtentLayout, openFilesAtMost: Int = ExtentStore.openFilesAtMost
  ) throws {
    invariant(openFilesAtMost > 0)
    self.storage = storage
    self.directory = directory
    self.layout = layout
    self.openFilesAtMost = openFilesAtMost
    try storage.makeDurableDirectory(directory)
    // Whoever copied an extent may have died between giving it its name and making that durable: nobody is told of a name
    // that a power cut may still take.
    try storage.synchronizeDirectory(directory)
    var state = State()
    var leftovers: [String] = []
    for name in try storage.list(directory) where name.hasPrefix("rows-") {
      if name.contains(Self.copySuffix) {
        leftovers.append(name)
        continue
      }
      // A name of another shape is checked too: its header says what it is of.
      let index = layout.index(named: name)
      let file = try storage.open("\(directory)/\(name)", .reading)
      do {
        let mark = try layout.check(headerOf: file, index: index)
        guard let index else { continue }
        if mark == 0 {
          leftovers.append(name)
        } else if try file.size() < layout.fileSize {
          state.damaged.insert(index)
        } else {
          state.held[index] = mark
        }
      } catch  where Self.isDamage(error) {
        if let index { state.damaged.insert(index) }
      }
    }
    for name in leftovers { try storage.remove("\(directory)/\(name)") }
    if !leftovers.isEmpty { try storage.synchronizeDirectory(directory) }
    self.state = Mutex(state)
  }

  static let copySuffix = ".part-"

  /// Whether a file is not what was written, as against one that belongs elsewhere or a disk that does not answer.
  private static func isDamage(_ error: any Error) -> Bool {
    switch error {
    case MemoryBankError.damagedHeader, MemoryBankError.damagedRow, DurabilityError.tooShort: true
    default: false
    }
  }
}

// MARK: - What is there

extension ExtentStore {
  /// The extents that are here whole, each with the mark of its record.
  public var held: [Int: UInt64] { state.withLock { $0.held } }

  /// Extents in which damage was found, at the start or by reading since; gone from here once copied anew or removed.
  public var damaged: Set<Int> { state.withLock { $0.damaged } }

  /// Bytes that extents and copies under way take.
  public var used: Int {
    state.withLock { ($0.held.count + $0.damaged.subtracting($0.held.keys).count + $0.copies) * layout.fileSize }
  }
}

// MARK: - Copying to here

extension ExtentStore {
  /// Begins a copy of an extent, and takes the disk's space for all of it. One that is here stays until the copy is sealed.
  /// - Throws: `DurabilityError`, a full disk among them; nothing is left behind then.
  public func begin(_ record: ExtentRecord) throws -> ExtentWriter {
    invariant(record.index >= 0)
    let number = state.withLock { state in
      state.copyNames += 1
      state.copies += 1
      return state.copyNames
    }
    do {
      return try ExtentWriter(
        owner: self, record: record, mark: record.mark,
        path: "\(directory)/\(layout.name(of: record.index))\(Self.copySuffix)\(number)")
    } catch {
      state.withLock { $0.copies -= 1 }
      throw error
    }
  }

  func admit(_ file: any StorageFile, _ record: ExtentRecord) throws {
    // Under the lock, so that no reader opens the name while it changes.
    try state.withLock { state in
      try storage.rename(file.path, to: "\(directory)/\(layout.name(of: record.index))")
      state.files[record.index] = nil
      state.mappings[record.index] = nil
    }
    try storage.synchronizeDirectory(directory)
    state.withLock { state in
      state.held[record.index] = record.mark
      state.damaged.remove(record.index)
    }
  }

  func ended(_ file: any StorageFile, isSealed: Bool) {
    if !isSealed { try? storage.remove(file.path) }
    state.withLock { $0.copies -= 1 }
  }

  /// Removes an extent; one that is not here is as good as removed.
  public func remove(_ extent: Int) throws {
    try state.withLock { state in
      state.files[extent] = nil
      state.mappings[extent] = nil
      state.held[extent] = nil
      try storage.remove("\(directory)/\(layout.name(of: extent))")
      state.damaged.remove(extent)
    }
    try storage.synchronizeDirectory(directory)
  }
}

// MARK: - Reading

extension ExtentStore {
  /// Copies rows, by number and in the order given, as they are stored.
  /// - Parameter target: `numbers.count * layout.rowSize` bytes.
  /// - Throws: `MemoryBankError.extentNotHeld`; `.damagedRow`, and the extent is in `damaged` from then on;
  ///   `DurabilityError`.
  public func read(_ numbers: [Int], into target: UnsafeMutableRawBufferPointer) throws {
    invariant(target.count == numbers.count * layout.rowSize, "\(target.count) bytes for \(numbers.count) rows")
    do {
      if let pieces = try mappedPieces(numbers) { return try copy(pieces, numbers, into: target) }
    } catch MemoryBankError.damagedRow(let file, let row) {
      state.withLock { _ = $0.damaged.insert(layout.index(of: row)) }
      throw MemoryBankError.damagedRow(file: file, row: row)
    }
    let wanted = try state.withLock { state in
      try numbers.enumerated().map { place, number in
        (place: place, number: number, file: try openFile(number, &state))
      }
    }
    do {
      // Files of whole extents never change, so that reading needs no lock.
      try layout.read(wanted, into: target)
    } catch MemoryBankError.damagedRow(let file, let row) {
      state.withLock { _ = $0.damaged.insert(layout.index(of: row)) }
      throw MemoryBankError.damagedRow(file: file, row: row)
    }
  }

  /// The records of consecutive rows of an extent, for somebody who copies it; checked before they leave.
  /// - Parameters:
  ///   - first: of the extent's rows, 0..<capacity.
  ///   - count: as many at most; fewer come at the extent's end.
  /// - Throws: as `read` does.
  public func records(extent: Int, first: Int, count: Int) throws -> [UInt8] {
    invariant(extent >= 0 && first >= 0 && first < layout.capacity && count > 0, "\(count) rows from \(first) on")
    let number = extent * layout.capacity + first
    let file = try state.withLock { try openFile(number, &$0) }
    do {
      return try layout.records(in: file, from: number, count: min(count, layout.capacity - first))
    } catch MemoryBankError.damagedRow(let file, let row) {
      state.withLock { _ = $0.damaged.insert(extent) }
      throw MemoryBankError.damagedRow(file: file, row: row)
    }
  }

  /// Reads an extent through.
  /// - Returns: whether it is whole; if not, it is in `damaged` from then on.
  /// - Throws: `MemoryBankError.extentNotHeld`; `DurabilityError` if the disk does not answer.
  public func verify(_ extent: Int) throws -> Bool {
    let together = max(1, ExtentLayout.readTogether / layout.recordSize)
    do {
      for first in stride(from: 0, to: layout.capacity, by: together) {
        _ = try records(extent: extent, first: first, count: together)
      }
      return true
    } catch  where Self.isDamage(error) {
      state.withLock { _ = $0.damaged.insert(extent) }
      return false
    }
  }

  /// Where rows are, with their checksums; nil if this storage has no mappings.
  private func mappedPieces(_ numbers: [Int]) throws -> MappedPieces? {
    var pieces = MappedPieces(head: layout.rowSize, tail: layout.recordSize - layout.rowSize, capacity: numbers.count)
    let isMapped = try state.withLock { state in
      state.requests += 1
      for number in numbers {
        let extent = layout.index(of: number)
        let place = number < 0 ? 0 : extent % state.places.count
        if state.places[place].request != state.requests || state.places[place].extent != extent || number < 0 {
          guard let mapping = try mapping(number, &state) else { return false }
          state.places[place] = Place(request: state.requests, extent: extent, piece: pieces.add(mapping))
        }
        pieces.append(at: layout.offset(of: number), of: state.places[place].piece)
      }
      return true
    }
    return isMapped ? pieces : nil
  }

  private func mapping(_ number: Int, _ state: inout State) throws -> FileMapping? {
    try requireHeld(number, state)
    let index = layout.index(of: number)
    if let mapping = state.mappings[index] { return mapping }
    guard let mapping = try storage.map("\(directory)/\(layout.name(of: index))", size: layout.fileSize) else {
      return nil
    }
    if state.mappings.count >= Self.mappedFilesAtMost, let idle = state.mappings.keys.first {
      state.mappings[idle] = nil
    }
    state.mappings[index] = mapping
    return mapping
  }

  /// Files of whole extents never change, so that this needs no lock.
  private func copy(_ pieces: MappedPieces, _ numbers: [Int], into target: UnsafeMutableRawBufferPointer) throws {
    let begun = Self.processorTime()
    if isCold.load(ordering: .relaxed) { pieces.prefetch() }
    let size = layout.rowSize
    try withUnsafeTemporaryAllocation(byteCount: Self.rowsTogether * pieces.tail, alignment: 8) { sums in
      for first in stride(from: 0, to: numbers.count, by: Self.rowsTogether) {
        let range = first..<min(first + Self.rowsTogether, numbers.count)
        try pieces.copy(
          range,
          heads: UnsafeMutableRawBufferPointer(rebasing: target[(first * size)..<(range.upperBound * size)]),
          tails: UnsafeMutableRawBufferPointer(rebasing: sums[..<(range.count * pieces.tail)]))
        for index in range {
          let sum = UInt64(
            littleEndian: sums.loadUnaligned(fromByteOffset: (index - first) * pieces.tail, as: UInt64.self))
          let row = UnsafeRawBufferPointer(rebasing: target[(index * size)..<((index + 1) * size)])
          guard sum == layout.checksum(of: row, number: numbers[index]) else {
            throw MemoryBankError.damagedRow(
              file: "\(directory)/\(layout.name(of: layout.index(of: numbers[index])))", row: numbers[index])
          }
        }
      }
    }
    isCold.store(Self.processorTime() - begun > Self.rowFromMemory * numbers.count, ordering: .relaxed)
  }

  /// Nanoseconds for which this thread has had a processor, its system calls and page faults included.
  private static func processorTime() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }

  private func requireHeld(_ number: Int, _ state: borrowing State) throws {
    guard number >= 0, state.held[layout.index(of: number)] != nil else {
      throw MemoryBankError.extentNotHeld(directory: directory, row: number)
    }
  }

  private func openFile(_ number: Int, _ state: inout State) throws -> any StorageFile {
    try requireHeld(number, state)
    let index = layout.index(of: number)
    if let file = state.files[index] { return file }
    if state.files.count >= openFilesAtMost, let idle = state.files.keys.first { state.files[idle] = nil }
    let file = try storage.open("\(directory)/\(layout.name(of: index))", .reading)
    state.files[index] = file
    return file
  }
}

extension ExtentLayout {
  /// The records of consecutive rows of one file, checked.
  func records(in file: any StorageFile, from number: Int, count: Int) throws -> [UInt8] {
    var records = [UInt8](repeating: 0, count: count * recordSize)
    try records.withUnsafeMutableBytes { bytes in
      try file.read(at: offset(of: number), into: bytes)
      try forEachRecord(in: UnsafeRawBufferPointer(bytes), from: number) { number, record in
        guard isWhole(record, number: number) else { throw MemoryBankError.damagedRow(file: file.path, row: number) }
      }
    }
    return records
  }
}
