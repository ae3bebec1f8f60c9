import MemoryBank
import Messages
import Numerics
import Services
import Testing

@Suite("Requests for rows") struct RowRequestTests {
  private let version = MemoryVersion(step: 4, rows: 99)

  @Test("They ask for each missing row once, and for no more than fit an answer", arguments: 1...67)
  func partition(positions: Int) {
    for pattern in [0, 1, 0x55, 0x81, 0xff] as [UInt8] {
      var bitmap = [UInt8](repeating: pattern, count: (positions + 7) / 8)
      if positions % 8 != 0 { bitmap[bitmap.count - 1] &= 1 << UInt8(positions % 8) - 1 }
      let requests = RowRequest.requests(of: version, block: 3, missing: bitmap, positions: positions, rowsAtMost: 16)
      func bits(_ bytes: [UInt8], from first: Int) -> [Int] {
        bytes.indices.flatMap { byte in
          (0..<8).filter { bytes[byte] >> UInt8($0) & 1 == 1 }.map { first + byte * 8 + $0 }
        }
      }
      #expect(requests.flatMap { bits($0.missing, from: $0.positions.lowerBound) } == bits(bitmap, from: 0))
      #expect(requests.allSatisfy { 1...16 ~= $0.rows && $0.block == 3 && $0.positions.upperBound <= positions })
    }
  }

  @Test("New rows that lie far apart go into one request") func sparse() {
    var bitmap = [UInt8](repeating: 0, count: 2048)
    for byte in stride(from: 100, to: 2048, by: 300) { bitmap[byte] = 4 }
    let requests = RowRequest.requests(of: version, block: 0, missing: bitmap, positions: 16384, rowsAtMost: 1024)
    #expect(requests.count == 1 && requests.first?.rows == 7)
  }

  /// A coordinator with shards is asked last, for rows that it has long let go of: a peer may ask so as often as it likes.
  @Test(
    "Rows that are not here are an answer, and no fault of the disk",
    arguments: [
      MemoryBankError.notHeld(row: 5, held: 64..<96), .extentNotHeld(directory: "memory", row: 5),
    ])
  func absence(_ error: MemoryBankError) throws {
    struct Absent: RowSource {
      let error: MemoryBankError
      let layout = ExtentLayout(run: Digest(high: 1, low: 1), width: 16, capacity: 32)
      func read(_ numbers: [Int], into target: UnsafeMutableRawBufferPointer) throws { throw error }
      func records(extent: Int, first: Int, count: Int) throws -> [UInt8] { throw error }
    }
    let keys = MemoryKeys(size: 64, blockSize: 16, blocksPerStep: 4, granule: 1, seed: 1)
    let answers = RowAnswers(source: Absent(error: error), keys: keys)
    let request = RowRequest(version: MemoryVersion(step: 4, rows: 4096), block: 0, positions: 0..<8, missing: [1])
    #expect {
      try answers.rows(request, into: FloatBuffer(count: WireLimits.bulkFloats))
    } throws: {
      ($0 as? RowAnswers.Unavailable)?.reason.hasPrefix("row 5 is not here") == true
    }
  }
}
