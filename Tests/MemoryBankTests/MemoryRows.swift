import Durability
import Foundation
import MemoryBank
import Numerics
import TestSupport

let width = 3
let run = Digest(high: 1, low: 2)

/// Row r is (r, r + 0.25, r + 0.5), shifted where a test wants other rows of the same numbers; all of them halves too.
func rows(_ numbers: Range<Int>, shift: Float = 0) -> Matrix {
  FloatBuffer(numbers.flatMap { row in (0..<width).map { Float(row) + Float($0) / 4 + shift } })
    .matrix(rows: numbers.count, columns: width)
}

/// Eight rows to an extent.
func layout(_ rowType: RowType = .fp32, run: Digest = run) -> ExtentLayout {
  ExtentLayout(run: run, width: width, capacity: 8, rowType: rowType)
}

/// The rows' floats in their stored bytes.
func floats(_ bytes: [UInt8], _ rowType: RowType) -> [Float] {
  let rows = bytes.count / rowType.bytes / width
  let matrix = FloatBuffer(count: rows * width).matrix(rows: rows, columns: width)
  bytes.withUnsafeBytes { bytes in
    let size = width * rowType.bytes
    for row in 0..<rows {
      rowType.load(
        UnsafeRawBufferPointer(rebasing: bytes[(row * size)..<((row + 1) * size)]), into: matrix.row(at: row))
    }
  }
  return matrix.array
}

func newStorage() throws -> SimulatedStorage {
  let storage = SimulatedStorage()
  try storage.makeDurableDirectory("run")
  return storage
}
