import Checkpoints
import MemoryBank
import Numerics
import Training

/// The memory of steps that are computed again: a checkpoint's rows from the run's files, which are only read, and
/// those that the steps since then enqueued, kept here.
struct ReplayedMemory {
  private let files: StoredRows
  /// Rows of the checkpoint.
  private let stored: Int
  /// A step's rows each, `[batch, width]`.
  private var enqueued: [Matrix] = []
  private(set) var digest: MemoryDigest
  private let rowType: RowType

  /// - Parameter manifest: of the checkpoint.
  init(_ manifest: Manifest, files: StoredRows, rowType: RowType) {
    self.rowType = rowType
    self.files = files
    stored = manifest.rows
    digest = MemoryDigest(resuming: manifest.memory)
  }

  package var rows: Int { stored + enqueued.reduce(0) { $0 + $1.rows } }

  /// Keeps the rows, which nobody else may write from then on.
  mutating func append(_ rows: Matrix) {
    // As they will be read.
    for index in 0..<rows.rows { rowType.round(rows.row(at: index)) }
    enqueued.append(rows)
    digest.append(rows, as: rowType)
  }

  /// A step's blocks, each `[blockSize, width]`.
  /// - Throws: `MemoryBankError`; `DurabilityError`.
  func blocks(_ draw: BlockDraw, seeded: SeededRows) throws -> [Matrix] {
    let numbers = (0..<draw.blockCount).lazy.flatMap { block in
      (0..<draw.blockSize).lazy.map { draw.row(block: block, position: $0) }
    }
    // All that is missing is said at once.
    try files.find(numbers.filter { $0 < stored && !draw.window.isSeeded($0) })
    return try (0..<draw.blockCount).map { block in
      let matrix = FloatBuffer(count: draw.blockSize * seeded.width)
        .matrix(rows: draw.blockSize, columns: seeded.width)
      for position in draw.writeSeededRows(of: block, seeded, into: matrix) {
        let (row, place) = (draw.row(block: block, position: position), matrix.rows(position..<position + 1))
        if row < stored {
          _ = try files.read(row..<row + 1, into: place)
        } else {
          // All steps enqueue as many.
          let (step, index) = (row - stored).quotientAndRemainder(dividingBy: enqueued[0].rows)
          copy(enqueued[step].rows(index..<index + 1), into: place)
        }
      }
      return matrix
    }
  }
}
