import Durability
import Foundation
import MemoryBank
import Numerics
import Synchronization
import TestSupport
import Testing

/// A disk that is busy with something else: while files are removed, made or written there is time to look around.
private struct BusyStorage: Storage {
  final class Busy: Sendable {
    let look = Mutex<(@Sendable (String) -> Void)?>(nil)
    func at(_ what: String) { look.withLock { $0 }?(what) }
  }
  final class File: StorageFile {
    let file: any StorageFile
    let busy: Busy
    init(_ file: any StorageFile, _ busy: Busy) { (self.file, self.busy) = (file, busy) }
    var path: String { file.path }
    func read(at offset: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
      try file.read(at: offset, into: bytes)
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
      busy.at("write")
      try file.write(bytes, at: offset)
    }
    func allocate(_ size: Int) throws {
      busy.at("allocate")
      try file.allocate(size)
    }
    func size() throws -> Int { try file.size() }
    func synchronize() throws {
      busy.at("synchronize")
      try file.synchronize()
    }
  }

  let storage: any Storage
  let busy = Busy()

  func open(_ path: String, _ mode: OpenMode) throws -> any StorageFile {
    if case .replacing = mode { busy.at("make") }
    return File(try storage.open(path, mode), busy)
  }
  func remove(_ path: String) throws {
    busy.at("remove")
    try storage.remove(path)
  }
  func makeDirectory(_ path: String) throws { try storage.makeDirectory(path) }
  func rename(_ path: String, to newPath: String) throws { try storage.rename(path, to: newPath) }
  func exists(_ path: String) throws -> Bool { try storage.exists(path) }
  func list(_ directory: String) throws -> [String] { try storage.list(directory) }
  func synchronizeDirectory(_ path: String) throws { try storage.synchronizeDirectory(path) }
  func lock(_ path: String) throws -> any StorageLock { try storage.lock(path) }
  func freeSpace(at path: String) throws -> Int { try storage.freeSpace(at: path) }
}

private func read(_ store: RowStore, _ numbers: [Int]) throws -> [Float] {
  var bytes = [UInt8](repeating: 0, count: numbers.count * store.layout.rowSize)
  try bytes.withUnsafeMutableBytes { try store.read(numbers, into: $0) }
  return floats(bytes, store.layout.rowType)
}

@Suite("Rows are served while the disk is busy with others")
struct BusyDiskTests {
  @Test func nobodyWhoReadsWaitsForWhatIsWrittenMadeOrRemoved() throws {
    let storage = BusyStorage(storage: try newStorage())
    let store = try RowStore(
      storage: storage, directory: "run/memory", layout: layout(),
      window: MemoryWindow(size: 16, rows: 0),
      digest: MemoryDigest(), cacheBytes: 0)
    try store.append(rows(0..<16))
    let seen = Mutex<Set<String>>([])
    let unserved = Mutex<Set<String>>([])
    storage.busy.look.withLock {
      $0 = { what in
        let isServed = Mutex(false)
        let look = Thread {
          if (try? read(store, [9])) == rows(9..<10).array { isServed.withLock { $0 = true } }
        }
        look.start()
        let came = eventually(within: 10) { isServed.withLock { $0 } }
        seen.withLock { _ = $0.insert(what) }
        if !came { unserved.withLock { _ = $0.insert(what) } }
      }
    }
    try store.append(rows(16..<17))
    try store.flush()
    try store.prune(below: 8)
    #expect(seen.withLock { $0 } == ["make", "allocate", "write", "synchronize", "remove"])
    #expect(unserved.withLock { $0 }.isEmpty)
    #expect(try read(store, [8, 16]) == [8, 16].flatMap { rows($0..<($0 + 1)).array })
  }
}
