import Durability
import Foundation
import TestSupport
import Testing
import Threads

@Suite("What is copied from mapped files is right, or an error: never the end of the process")
struct FileMappingTests {
  /// Pages of 4 KiB, each full of its number.
  private func file(_ path: String, pages: Int) throws {
    let bytes = Data((0..<pages).flatMap { [UInt8](repeating: UInt8($0 % 256), count: 4096) })
    try bytes.write(to: URL(fileURLWithPath: path))
  }

  /// Of 10 bytes and the 2 after them.
  private func copy(_ offsets: [Int], of mapping: FileMapping, told: Bool = false) throws -> ([UInt8], [UInt8]) {
    var pieces = MappedPieces(head: 10, tail: 2, capacity: offsets.count)
    let source = pieces.add(mapping)
    for offset in offsets { pieces.append(at: offset, of: source) }
    if told { pieces.prefetch() }
    var heads = [UInt8](repeating: 255, count: 10 * offsets.count)
    var tails = [UInt8](repeating: 255, count: 2 * offsets.count)
    try heads.withUnsafeMutableBytes { heads in
      try tails.withUnsafeMutableBytes { try pieces.copy(0..<offsets.count, heads: heads, tails: $0) }
    }
    return (heads, tails)
  }

  @Test(arguments: [false, true]) func headsAndTailsComeApartInTheOrderAskedFor(told: Bool) throws {
    try withTemporaryDirectory { folder in
      try file("\(folder)/f", pages: 9)
      let mapping = try #require(try FileStorage().map("\(folder)/f", size: 9 * 4096))
      // The second piece lies across a border of pages; the last one ends with the file.
      let (heads, tails) = try copy([5 * 4096, 3 * 4096 - 11, 9 * 4096 - 12, 0], of: mapping, told: told)
      #expect(heads == [5, 2, 8, 0].flatMap { [UInt8](repeating: $0, count: 10) })
      #expect(tails == [5, 5, 2, 3, 8, 8, 0, 0])
    }
  }

  @Test func aFileCutShortBehindOurBackIsAnErrorInEveryThread() throws {
    try withTemporaryDirectory { folder in
      let path = "\(folder)/f"
      try file(path, pages: 8)
      let mapping = try #require(try FileStorage().map(path, size: 8 * 4096))
      #expect(truncate(path, 3 * 4096) == 0)
      let results = BoundedQueue<Bool>(capacity: 4)
      for thread in 0..<4 {
        startThread(named: "copies-\(thread)") {
          let isRight = (0..<20).allSatisfy { _ in
            // Again and again: after the first one the signal must not stay blocked.
            let failed = {
              do { _ = try copy([0, 4096, 7 * 4096], of: mapping); return false } catch {
                return error as? DurabilityError == .failed(operation: .read, path: path, number: EIO)
              }
            }()
            return failed && (try? copy([8192], of: mapping).0) == [UInt8](repeating: 2, count: 10)
          }
          _ = results.append(isRight)
        }
      }
      for _ in 0..<4 { #expect(results.next() == true) }
    }
  }

  @Test func aFileThatIsTooShortAlreadyIsNotMapped() throws {
    try withTemporaryDirectory { folder in
      try file("\(folder)/f", pages: 1)
      #expect(throws: DurabilityError.tooShort(path: "\(folder)/f", expected: 4097, size: 4096)) {
        _ = try FileStorage().map("\(folder)/f", size: 4097)
      }
      #expect(throws: DurabilityError.self) { _ = try FileStorage().map("\(folder)/nothing", size: 1) }
      #expect(try SimulatedStorage().map("\(folder)/f", size: 1) == nil)
    }
  }
}
