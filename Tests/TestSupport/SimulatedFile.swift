import Durability
import Glibc
import Synchronization

/// The lock holds as long as this object lives and is not released, or until the restart.
final class SimulatedLock: StorageLock {
  let path: String
  private let isReleased = Atomic<Bool>(false)

  init(path: String) { self.path = path }

  var isHeld: Bool { !isReleased.load(ordering: .acquiring) }

  func verify() throws {
    guard isHeld else { throw DurabilityError.lockLost(path: path) }
  }

  func release() { isReleased.store(true, ordering: .releasing) }
}

final class SimulatedFile: StorageFile {
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
  func read(_ file: SimulatedFile, _ offset: Int, _ count: Int) throws -> [UInt8] {
    try operate(.read, file.path, handle: file.life) { state in
      let bytes = state.file(file.node).bytes
      guard offset + count <= bytes.count else {
        throw DurabilityError.tooShort(path: file.path, expected: offset + count, size: bytes.count)
      }
      return Array(bytes[offset..<(offset + count)])
    }
  }

  func change(
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

  func size(_ file: SimulatedFile) throws -> Int {
    state.withLock { $0.file(file.node).bytes.count }
  }

  func synchronize(_ file: SimulatedFile) throws {
    try operate(.synchronize, file.path, handle: file.life) { state in
      var synchronized = state.file(file.node)
      synchronized.durable = synchronized.bytes
      synchronized.pending = []
      state.nodes[file.node] = .file(synchronized)
    }
  }
}
