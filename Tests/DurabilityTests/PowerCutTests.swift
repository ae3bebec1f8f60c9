import Durability
import Foundation
import TestSupport
import Testing

@Suite("A power cut loses what was not synchronized, and no more")
struct PowerCutTests {
  @Test(arguments: 0..<50 as Range<UInt64>)
  func synchronizedBytesAndNamesStay(seed: UInt64) throws {
    let storage = SimulatedStorage()
    try storage.makeDurableDirectory("d")
    let file = try storage.open("d/kept", .replacing)
    try Array("abc".utf8).withUnsafeBytes { try file.write($0, at: 0) }
    try file.synchronize()
    try storage.synchronizeDirectory("d")
    storage.restart(cuttingPower: seed)
    #expect(try storage.readWhole("d/kept", limit: 10) == Array("abc".utf8))
    #expect(throws: PowerCut()) { try file.synchronize() }
  }

  @Test func unsynchronizedBytesAndNamesMayBeLostKeptOrTorn() throws {
    var seen: Set<String> = []
    for seed in 0..<200 as Range<UInt64> {
      let storage = SimulatedStorage()
      try storage.makeDurableDirectory("d")
      let file = try storage.open("d/f", .replacing)
      try Array("abc".utf8).withUnsafeBytes { try file.write($0, at: 0) }
      storage.restart(cuttingPower: seed)
      let bytes = try? storage.readWhole("d/f", limit: 10)
      seen.insert(bytes.map { String(decoding: $0, as: UTF8.self) } ?? "lost")
    }
    #expect(seen == ["lost", "", "a", "ab", "abc"])
  }

  @Test func anAtomicWriteIsOldOrNewAfterACutAtAnyCall() throws {
    for cut in 0..<20 {
      for seed in 0..<20 as Range<UInt64> {
        let storage = SimulatedStorage()
        try storage.makeDurableDirectory("d")
        try storage.writeAtomically("old".utf8, to: "d/f")
        storage.cutPower(after: cut)
        let finished = (try? storage.writeAtomically("new".utf8, to: "d/f")) != nil
        storage.restart(cuttingPower: seed)
        let found = String(decoding: try storage.readWhole("d/f", limit: 10), as: UTF8.self)
        #expect(finished ? found == "new" : ["old", "new"].contains(found), "cut \(cut), seed \(seed)")
      }
    }
  }

  @Test func theNthOperationFailsOnce() throws {
    let storage = SimulatedStorage()
    storage.failOperation(after: 1, number: EIO)
    try storage.makeDirectory("a")
    #expect(throws: DurabilityError.failed(operation: .makeDirectory, path: "b", number: EIO)) {
      try storage.makeDirectory("b")
    }
    try storage.makeDirectory("b")
  }

  @Test func aFullDiskRefusesWhatDoesNotFitAndChangesNothing() throws {
    let storage = SimulatedStorage()
    storage.setCapacity(8)
    let file = try storage.open("f", .replacing)
    try Array("abcdef".utf8).withUnsafeBytes { try file.write($0, at: 0) }
    #expect(try storage.freeSpace(at: ".") == 2)
    let error = #expect(throws: DurabilityError.self) { try file.allocate(9) }
    #expect(error?.isOutOfSpace == true)
    #expect(try file.size() == 6)
  }

  @Test func aRestartFreesLocksAndKeepsUnsynchronizedBytes() throws {
    let storage = SimulatedStorage()
    let lock = try storage.lock("lock")
    try storage.writeAtomically("x".utf8, to: "f")
    #expect(throws: DurabilityError.self) { try storage.lock("lock") }
    storage.restart()
    _ = try storage.lock("lock")
    #expect(try storage.readWhole("f", limit: 1) == Array("x".utf8))
    withExtendedLifetime(lock) {}
  }
}
