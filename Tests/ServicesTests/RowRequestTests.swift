import MemoryBank
import Messages
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
}
