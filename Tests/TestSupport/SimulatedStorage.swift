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
  let state = Mutex(State())

  public init() {}

  func operate<Result>(
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
