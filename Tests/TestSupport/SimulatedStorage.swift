import Durability
import Glibc
import Synchronization

/// Files in memory that lose in a power cut what real ones may lose.
///
/// Every file and directory has a durable state and the operations since, in order. Synchronizing makes the state now
/// the durable one. `restart(cuttingPower:)` goes back to the durable state plus a seeded choice of the operations
/// since: each may have reached the disk or not, whole or in part, for disks and file systems reorder.
///
/// Each call of the protocol, `size` and `exists` excepted, counts as an operation; one can be made to fail, or to
/// be the one at which the power goes: it and all later ones throw until the restart.
public final class SimulatedStorage: Storage {
  private let state = Mutex(State())

  public init() {}

  private func operate<Result>(
    _ operation: DurabilityError.Operation, _ path: String, handle: Int? = nil,
    _ body: (inout sending State) throws -> Result
  ) throws -> Result where Result: Sendable {
    try state.withLock { state in
      try state.begin(operation, path, handle: handle)
      return try body(&state)
    }
  }
}

/// The power went before this call did anything.
public struct PowerCut: Error, Equatable {
  public init() {}
}

// MARK: - Faults

extension SimulatedStorage {
  /// Operations so far.
  public var operations: Int { state.withLock { $0.operations } }

  /// Lets the operation after the next `count` ones fail with an errno, once.
  public func failOperation(after count: Int, number: Int32 = EIO) {
    state.withLock { $0.failure = ($0.operations + count, number) }
  }

  /// Lets `count` more operations be done; those after throw `PowerCut` until the restart.
  public func cutPower(after count: Int) {
    state.withLock { $0.powerCutAt = $0.operations + count }
  }

  /// Bytes that all files together may have; more is a full disk.
  public func setCapacity(_ bytes: Int) { state.withLock { $0.capacity = bytes } }

  /// Somebody removes a locked file: its owner does not notice before it verifies the lock, and others can have it.
  public func breakLock(_ path: String) {
    state.withLock {
      $0.locks[path]?.lock?.release()
      $0.locks[path] = nil
    }
  }

  /// Locks stop locking: whoever has one believes to have it alone, and so does the next one who asks.
  public func ignoreLock(_ path: String) { state.withLock { $0.locks[path] = nil } }

  /// The process dies and the machine lives on: locks are free, open files are closed, nothing is lost.
  public func restart() { state.withLock { $0.restart() } }

  /// The machine dies: what was not synchronized is kept, lost or torn, as the seed has it.
  public func restart(cuttingPower seed: UInt64) {
    state.withLock {
      var random = SplitMix64(seed: seed)
      $0.restart()
      $0.losePower(&random)
    }
  }

  /// Damages a file behind everyone's back, durably: its byte at `offset` becomes `change` of it.
  public func corrupt(_ path: String, at offset: Int, _ change: @Sendable (UInt8) -> UInt8) throws {
    try state.withLock { state in
      guard case .file(var file)? = state.nodes[try state.node(at: path)] else { throw state.absence(.open, path) }
      file.bytes[offset] = change(file.bytes[offset])
      file.durable = file.bytes
      file.pending = []
      state.nodes[try state.node(at: path)] = .file(file)
    }
  }
}

// MARK: - Storage

extension SimulatedStorage {
  public func makeDirectory(_ path: String) throws {
    try operate(.makeDirectory, path) { state in
      var directory = State.root
      for part in parts(of: path) {
        switch state.nodes[directory] {
        case .directory(let entries):
          if let next = entries.names[part] {
            directory = next
          } else {
            let made = state.insert(.directory(State.Directory()))
            state.change(directory, [(part, made)])
            directory = made
          }
        default: throw DurabilityError.failed(operation: .makeDirectory, path: path, number: ENOTDIR)
        }
      }
      guard case .directory? = state.nodes[directory] else {
        throw DurabilityError.failed(operation: .makeDirectory, path: path, number: ENOTDIR)
      }
    }
  }

  public func open(_ path: String, _ mode: OpenMode) throws -> any StorageFile {
    let (node, life) = try operate(.open, path) { state -> (Int, Int) in
      if let node = try? state.node(at: path) {
        guard case .file(var file)? = state.nodes[node] else {
          throw DurabilityError.failed(operation: .open, path: path, number: EISDIR)
        }
        if mode == .replacing {
          file.apply(.truncate)
          state.nodes[node] = .file(file)
        }
        return (node, state.life)
      }
      guard mode == .replacing else { throw state.absence(.open, path) }
      let directory = try state.directory(holding: path, for: .open)
      let made = state.insert(.file(State.File()))
      state.change(directory, [(parts(of: path).last!, made)])
      return (made, state.life)
    }
    return SimulatedFile(self, path: path, node: node, life: life)
  }

  public func rename(_ path: String, to newPath: String) throws {
    try operate(.rename, path) { state in
      guard let node = try? state.node(at: path) else { throw state.absence(.rename, path) }
      let (from, to) = (
        try state.directory(holding: path, for: .rename), try state.directory(holding: newPath, for: .rename)
      )
      let (oldName, newName) = (parts(of: path).last!, parts(of: newPath).last!)
      if let replaced = try? state.node(at: newPath), case .directory(let directory)? = state.nodes[replaced],
        !directory.names.isEmpty
      {
        throw DurabilityError.failed(operation: .rename, path: path, number: ENOTEMPTY)
      }
      if from == to {
        // One entry of the journal: both names change or none does.
        state.change(from, [(oldName, nil), (newName, node)])
      } else {
        state.change(to, [(newName, node)])
        state.change(from, [(oldName, nil)])
      }
    }
  }

  public func remove(_ path: String) throws {
    try operate(.remove, path) { state in
      guard let node = try? state.node(at: path) else { return }
      state.empty(node)
      state.change(try state.directory(holding: path, for: .remove), [(parts(of: path).last!, nil)])
    }
  }

  public func exists(_ path: String) throws -> Bool {
    state.withLock { (try? $0.node(at: path)) != nil }
  }

  public func list(_ directory: String) throws -> [String] {
    try operate(.list, directory) { state in
      guard let node = try? state.node(at: directory), case .directory(let entries)? = state.nodes[node] else {
        throw state.absence(.list, directory)
      }
      return entries.names.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
  }

  public func glance(at path: String) -> [UInt8]? {
    state.withLock { state in
      guard let node = try? state.node(at: path), case .file(let file)? = state.nodes[node] else { return nil }
      return Array(file.bytes)
    }
  }

  public func synchronizeDirectory(_ path: String) throws {
    try operate(.synchronize, path) { state in
      guard let node = try? state.node(at: path), case .directory(var entries)? = state.nodes[node] else {
        throw state.absence(.synchronize, path)
      }
      entries.durable = entries.names
      entries.pending = []
      state.nodes[node] = .directory(entries)
    }
  }

  public func lock(_ path: String) throws -> any StorageLock {
    _ = try open(path, .replacing)
    let lock = SimulatedLock(path: path)
    try operate(.lock, path) { state in
      if let lock = state.locks[path]?.lock, lock.isHeld {
        throw DurabilityError.locked(path: path, holder: .current)
      }
      state.locks[path] = State.Holder(lock: lock)
    }
    return lock
  }

  public func freeSpace(at path: String) throws -> Int {
    try operate(.inspect, path) { ($0.capacity ?? 1 << 40) - $0.bytesInUse }
  }
}

/// The lock holds as long as this object lives and is not released, or until the restart.
private final class SimulatedLock: StorageLock {
  let path: String
  private let isReleased = Atomic<Bool>(false)

  init(path: String) { self.path = path }

  var isHeld: Bool { !isReleased.load(ordering: .acquiring) }

  func verify() throws {
    guard isHeld else { throw DurabilityError.lockLost(path: path) }
  }

  func release() { isReleased.store(true, ordering: .releasing) }
}

private final class SimulatedFile: StorageFile {
  let storage: SimulatedStorage
  let path: String
  let node: Int
  /// The number of restarts when it was opened: a file does not stay open over one.
  let life: Int

  init(_ storage: SimulatedStorage, path: String, node: Int, life: Int) {
    (self.storage, self.path, self.node, self.life) = (storage, path, node, life)
  }

  func read(at offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    let found = try storage.read(self, offset, bytes.count)
    bytes.copyBytes(from: found)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    try storage.change(self, .write, .write(offset: offset, bytes: Array(bytes)))
  }

  func allocate(_ size: Int) throws { try storage.change(self, .allocate, .allocate(size)) }

  func size() throws -> Int { try storage.size(self) }

  func synchronize() throws { try storage.synchronize(self) }
}

extension SimulatedStorage {
  fileprivate func read(_ file: SimulatedFile, _ offset: Int, _ count: Int) throws -> [UInt8] {
    try operate(.read, file.path, handle: file.life) { state in
      let bytes = state.file(file.node).bytes
      guard offset + count <= bytes.count else {
        throw DurabilityError.tooShort(path: file.path, expected: offset + count, size: bytes.count)
      }
      return Array(bytes[offset..<(offset + count)])
    }
  }

  fileprivate func change(
    _ file: SimulatedFile, _ operation: DurabilityError.Operation, _ change: State.File.Change
  ) throws {
    try operate(operation, file.path, handle: file.life) { state in
      var changed = state.file(file.node)
      let before = changed.bytes.count
      changed.apply(change)
      if let capacity = state.capacity, state.bytesInUse + changed.bytes.count - before > capacity {
        throw DurabilityError.failed(operation: operation, path: file.path, number: ENOSPC)
      }
      state.nodes[file.node] = .file(changed)
    }
  }

  fileprivate func size(_ file: SimulatedFile) throws -> Int {
    state.withLock { $0.file(file.node).bytes.count }
  }

  fileprivate func synchronize(_ file: SimulatedFile) throws {
    try operate(.synchronize, file.path, handle: file.life) { state in
      var synchronized = state.file(file.node)
      synchronized.durable = synchronized.bytes
      synchronized.pending = []
      state.nodes[file.node] = .file(synchronized)
    }
  }
}

// MARK: - State

private func parts(of path: String) -> [String] {
  path.utf8.split(separator: UInt8(ascii: "/")).compactMap { String($0) }.filter { $0 != "." }
}

private struct State: Sendable {
  struct File {
    enum Change {
      case write(offset: Int, bytes: [UInt8])
      case allocate(Int)
      case truncate
    }
    /// What a reader sees.
    var bytes: [UInt8] = []
    /// What a power cut leaves at the least.
    var durable: [UInt8] = []
    var pending: [Change] = []

    mutating func apply(_ change: Change) {
      Self.apply(change, to: &bytes)
      pending.append(change)
    }

    static func apply(_ change: Change, to bytes: inout [UInt8]) {
      func grow(to size: Int) {
        if bytes.count < size { bytes.append(contentsOf: repeatElement(0, count: size - bytes.count)) }
      }
      switch change {
      case .write(let offset, let written):
        grow(to: offset + written.count)
        bytes.replaceSubrange(offset..<(offset + written.count), with: written)
      case .allocate(let size): grow(to: size)
      case .truncate: bytes = []
      }
    }
  }

  struct Directory {
    var names: [String: Int] = [:]
    var durable: [String: Int] = [:]
    /// Each operation's names, with the node they now have, or nil if removed.
    var pending: [[(name: String, node: Int?)]] = []
  }

  enum Node {
    case file(File)
    case directory(Directory)
  }

  struct Holder { weak var lock: SimulatedLock? }

  static let root = 0
  var nodes: [Int: Node] = [root: .directory(Directory())]
  var nextNode = 1
  var locks: [String: Holder] = [:]
  /// The parts of paths met before, for cutting them takes longer than most calls.
  var split: [String: [String]] = [:]
  var operations = 0
  var life = 0
  var failure: (at: Int, number: Int32)?
  var powerCutAt: Int?
  /// Nil: as much as is wanted.
  var capacity: Int?

  mutating func begin(_ operation: DurabilityError.Operation, _ path: String, handle: Int?) throws {
    if let powerCutAt, operations >= powerCutAt { throw PowerCut() }
    if let handle, handle != life { throw PowerCut() }
    operations += 1
    if split[path] == nil { split[path] = parts(of: path) }
    if let failure, operations > failure.at {
      self.failure = nil
      throw DurabilityError.failed(operation: operation, path: path, number: failure.number)
    }
  }

  // MARK: Nodes

  mutating func insert(_ node: Node) -> Int {
    nodes[nextNode] = node
    nextNode += 1
    return nextNode - 1
  }

  func node(at path: String) throws -> Int {
    var node = Self.root
    for part in split[path] ?? parts(of: path) {
      guard case .directory(let directory)? = nodes[node], let next = directory.names[part] else {
        throw absence(.open, path)
      }
      node = next
    }
    return node
  }

  func directory(holding path: String, for operation: DurabilityError.Operation) throws -> Int {
    guard let node = try? node(at: parent(of: path)), case .directory? = nodes[node] else {
      throw absence(operation, path)
    }
    return node
  }

  mutating func change(_ directory: Int, _ names: [(String, Int?)]) {
    guard case .directory(var entries)? = nodes[directory] else { return }
    for (name, node) in names { entries.names[name] = node }
    entries.pending.append(names.map { (name: $0.0, node: $0.1) })
    nodes[directory] = .directory(entries)
  }

  /// Removes what is in a directory, name by name: a power cut may leave any of it.
  mutating func empty(_ node: Int) {
    guard case .directory(let directory)? = nodes[node] else { return }
    for (name, child) in directory.names.sorted(by: { $0.key < $1.key }) {
      empty(child)
      change(node, [(name, nil)])
    }
  }

  /// A file that is open keeps its node though its name is gone.
  func file(_ node: Int) -> File {
    guard case .file(let file)? = nodes[node] else { return File() }
    return file
  }

  func absence(_ operation: DurabilityError.Operation, _ path: String) -> DurabilityError {
    .failed(operation: operation, path: path, number: ENOENT)
  }

  /// Bytes of the files that have a name.
  var bytesInUse: Int {
    func bytes(under node: Int) -> Int {
      switch nodes[node] {
      case .file(let file): file.bytes.count
      case .directory(let directory): directory.names.values.reduce(0) { $0 + bytes(under: $1) }
      case nil: 0
      }
    }
    return bytes(under: Self.root)
  }

  // MARK: Restarts

  mutating func restart() {
    life += 1
    locks = [:]
    failure = nil
    powerCutAt = nil
  }

  mutating func losePower(_ random: inout SplitMix64) {
    for number in nodes.keys.sorted() {
      switch nodes[number]! {
      case .file(var file):
        for change in file.pending { State.losePart(of: change, to: &file.durable, &random) }
        (file.bytes, file.pending) = (file.durable, [])
        nodes[number] = .file(file)
      case .directory(var directory):
        for names in directory.pending where random.next() % 2 == 0 {
          for (name, node) in names { directory.durable[name] = node }
        }
        (directory.names, directory.pending) = (directory.durable, [])
        nodes[number] = .directory(directory)
      }
    }
  }

  private static func losePart(of change: File.Change, to bytes: inout [UInt8], _ random: inout SplitMix64) {
    switch (change, random.next() % 3) {
    case (_, 0): break
    case (.write(let offset, let written), 1) where written.count > 1:
      let kept = Int(random.next() % UInt64(written.count))
      File.apply(.write(offset: offset, bytes: Array(written[..<kept])), to: &bytes)
    default: File.apply(change, to: &bytes)
    }
  }
}
