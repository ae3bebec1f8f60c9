import Durability
import Foundation
import TestSupport
import Testing

/// One body for both storages: what the simulated one promises, the real one must keep.
private func onBoth(_ body: (any Storage, String) throws -> Void) throws {
  try withTemporaryDirectory { try body(FileStorage(), $0) }
  try body(SimulatedStorage(), "run")
}

@Suite("Files behave as Storage says, real and simulated")
struct FileStorageTests {
  @Test func bytesAreReadBackWhereTheyWereWritten() throws {
    try onBoth { storage, root in
      try storage.makeDirectory("\(root)/a/b")
      let file = try storage.open("\(root)/a/b/c", .replacing)
      try file.allocate(10)
      try [UInt8]([1, 2, 3]).withUnsafeBytes { try file.write($0, at: 4) }
      try file.synchronize()
      #expect(try file.size() == 10)
      #expect(try storage.readWhole("\(root)/a/b/c", limit: 10) == [0, 0, 0, 0, 1, 2, 3, 0, 0, 0])
      #expect(throws: DurabilityError.tooLong(path: "\(root)/a/b/c", size: 10, limit: 9)) {
        try storage.readWhole("\(root)/a/b/c", limit: 9)
      }
      var past = [UInt8](repeating: 0, count: 4)
      #expect(throws: DurabilityError.tooShort(path: "\(root)/a/b/c", expected: 11, size: 10)) {
        try past.withUnsafeMutableBytes { try file.read(at: 7, into: $0) }
      }
    }
  }

  @Test func namesAreListedRenamedAndRemoved() throws {
    try onBoth { storage, root in
      try storage.makeDirectory("\(root)/d/deep")
      for name in ["é", "b", "a"] { _ = try storage.open("\(root)/d/\(name)", .replacing) }
      #expect(try storage.list("\(root)/d") == ["a", "b", "deep", "é"])
      try storage.rename("\(root)/d/a", to: "\(root)/d/b")
      #expect(try storage.list("\(root)/d") == ["b", "deep", "é"])
      _ = try storage.open("\(root)/d/deep/x", .replacing)
      #expect(throws: DurabilityError.self) { try storage.rename("\(root)/d/b", to: "\(root)/d/deep") }
      try storage.remove("\(root)/d")
      #expect(try !storage.exists("\(root)/d"))
      try storage.remove("\(root)/d")
    }
  }

  @Test func writingAtomicallyReplacesAndLeavesNoTemporary() throws {
    try onBoth { storage, root in
      try storage.makeDirectory(root)
      try storage.writeAtomically("one".utf8, to: "\(root)/f")
      try storage.writeAtomically("second".utf8, to: "\(root)/f")
      #expect(try storage.readWhole("\(root)/f", limit: 100) == Array("second".utf8))
      #expect(try storage.list(root) == ["f"])
    }
  }

  @Test func theSecondLockIsRefusedAndNamesTheHolder() throws {
    try onBoth { storage, root in
      try storage.makeDirectory(root)
      let path = "\(root)/lock"
      let lock = try storage.lock(path)
      try lock.verify()
      let refusal = DurabilityError.locked(path: path, holder: .current)
      #expect(throws: refusal) { try storage.lock(path) }
      #expect(
        refusal.description == "\(path) is locked by process \(ProcessInfo.processInfo.processIdentifier) on "
          + "\(ProcessInfo.processInfo.hostName). Stop that process first, or wait until it ends.")
      lock.release()
      #expect(throws: DurabilityError.lockLost(path: path)) { try lock.verify() }
      var next: (any StorageLock)? = try storage.lock(path)
      // Released twice, it takes nothing from the next.
      lock.release()
      #expect(throws: refusal) { try storage.lock(path) }
      next = nil
      _ = try storage.lock(path)
      withExtendedLifetime(next) {}
    }
  }

  /// By util-linux's flock: the lock is the kernel's, seen by every process.
  @Test func anotherProcessSeesTheLockUntilItIsReleased() throws {
    try withTemporaryDirectory { root in
      let lock = try FileStorage().lock("\(root)/lock")
      func statusOfAnotherProcess() throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
        process.arguments = ["--nonblock", "\(root)/lock", "true"]
        try process.run()
        return try process.exit()
      }
      #expect(try statusOfAnotherProcess() == 1)
      lock.release()
      #expect(try statusOfAnotherProcess() == 0)
    }
  }

  @Test func aLockWhoseFileIsReplacedIsLost() throws {
    try withTemporaryDirectory { root in
      let storage = FileStorage()
      let lock = try storage.lock("\(root)/lock")
      try storage.remove("\(root)/lock")
      _ = try storage.open("\(root)/lock", .replacing)
      #expect(throws: DurabilityError.lockLost(path: "\(root)/lock")) { try lock.verify() }
    }
  }

  @Test func errorsNamePathOperationAndCause() throws {
    try onBoth { storage, root in
      let error = #expect(throws: DurabilityError.self) { try storage.open("\(root)/none", .reading) }
      #expect(error?.isAbsence == true)
      #expect(error?.description == "cannot open \(root)/none: there is no such file or directory.")
    }
    let full = DurabilityError.failed(operation: .write, path: "runs/a/x", number: ENOSPC)
    #expect(full.description == "cannot write runs/a/x: the disk is full. Make room on it.")
    #expect(full.isOutOfSpace)
    try withTemporaryDirectory { root in
      _ = try FileStorage().open("\(root)/file", .replacing)
      #expect(throws: DurabilityError.failed(operation: .makeDirectory, path: "\(root)/file", number: ENOTDIR)) {
        try FileStorage().makeDirectory("\(root)/file")
      }
      #expect(try FileStorage().freeSpace(at: root) > 0)
    }
  }

  @Test(arguments: [("a/b/c", "a/b"), ("c", "."), ("/c", "/"), ("/a/b/", "/a"), ("/", "/")])
  func parentIsTheDirectoryThatHoldsIt(path: String, expected: String) {
    #expect(parent(of: path) == expected)
  }

  @Test("Who lost a lock changes nothing any more, and still reads") func lockedStorage() throws {
    let files = SimulatedStorage()
    let lock = try files.lock("lock")
    let storage = LockedStorage(files, while: lock)
    try storage.makeDirectory("a")
    let file = try storage.open("a/f", .replacing)
    func write() throws { try [1, 2].withUnsafeBytes { try file.write($0, at: 0) } }
    try write()
    try file.synchronize()
    let before = files.operations
    lock.release()
    let changes: [() throws -> Void] = [
      write, { try file.allocate(100) }, { try file.synchronize() }, { try storage.makeDirectory("b") },
      { _ = try storage.open("a/f", .replacing) }, { _ = try storage.open("a/f", .updating) },
      { try storage.rename("a/f", to: "a/g") }, { try storage.remove("a") },
      { try storage.synchronizeDirectory("a") }, { try storage.writeAtomically([1], to: "a/g") },
    ]
    for change in changes { #expect(throws: DurabilityError.lockLost(path: "lock")) { try change() } }
    #expect(files.operations == before)
    #expect(try storage.readWhole("a/f", limit: 100).count == 16)
  }
}
