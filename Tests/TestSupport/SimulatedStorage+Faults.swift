import Durability
import Glibc

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
