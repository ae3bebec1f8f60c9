import Durability
import Foundation
import TestSupport
import Testing

struct LockStateTests {
  @Test func aLockIsSeenAndNotTaken() throws {
    try withTemporaryDirectory { folder in
      let (storage, path) = (FileStorage(), folder + "/lock")
      #expect(try storage.lockState(of: path) == nil)
      let lock = try storage.lock(path)
      #expect(try storage.lockState(of: path) == LockState(holder: .current, isHeld: true))
      try lock.verify()
      lock.release()
      #expect(try storage.lockState(of: path) == LockState(holder: .current, isHeld: false))
      _ = try storage.lock(path)
      try Data("nonsense".utf8).write(to: URL(fileURLWithPath: path))
      #expect(try storage.lockState(of: path)?.holder == nil)
    }
  }
}
