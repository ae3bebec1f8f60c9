import MemoryBank
import Messages
import Numerics
import Training

/// A step's blocks, and how rows that are elsewhere come into them: asked for by the step's key, of all holders at once.
struct BlockFetch {
  let step: Int
  let rows: Int
  let floor: Int
  let blocks: BlockPlan
  /// `[blocks * blockSize, width]`.
  let memory: FloatBuffer
  private let width: Int
  /// Of a row as it is stored.
  private let rowSize: Int

  init(_ plan: RunPlan, step: Int, rows: Int, floor: Int, into memory: FloatBuffer) {
    (self.step, self.rows, self.floor, self.memory) = (step, rows, floor, memory)
    blocks = plan.blockPlan(step: step, rows: rows, floor: floor)
    width = plan.configuration.bottleneckDim
    rowSize = width * plan.rowType.bytes
  }

  /// A block's part of `memory`, `[blockSize, width]`.
  func matrix(_ block: Int) -> Matrix {
    memory.matrix(at: block * blocks.blockSize * width, rows: blocks.blockSize, columns: width)
  }

  /// Requests for those of a block's missing rows that are below `known`, cut so that each fits an answer; their bits
  /// are cleared.
  /// - Parameters:
  ///   - missing: of all positions of the block.
  ///   - clients: who has the rows that these holders have, the best first; not empty.
  /// - Throws: what `clients` throws.
  func pieces(
    _ block: Int, missing: inout [UInt8], known: Int, by view: HolderView, clients: ([Int]) throws -> [BulkClient]
  ) throws -> [RowFetch.Piece] {
    let empty = [UInt8](repeating: 0, count: missing.count)
    var bitmaps: [[Int]: [UInt8]] = [:]
    let positions = missing.setBits
    for (position, row) in zip(positions, blocks.rows(block: block, at: positions)) where row < known {
      bitmaps[view.holders(ofRow: row), default: empty].setBit(position)
      missing.clearBit(position)
    }
    return try bitmaps.flatMap { who, bitmap in
      let clients = try clients(who)
      return RowRequest.requests(
        block: block, missing: bitmap, positions: blocks.blockSize, rowsAtMost: WireLimits.bulkBytes / rowSize
      ).map { RowFetch.Piece(request: $0, holders: clients) }
    }
  }

  /// Fetches them into the blocks, and into the cache.
  /// - Parameter slow: takes those who did not answer in time, whatever comes of it.
  /// - Throws: `WorkerError`.
  func run(_ pieces: [RowFetch.Piece], _ cache: RowCache, slow: (Set<Endpoint>) -> Void = { _ in }) throws {
    var fetch = RowFetch(pieces) { $0.message(step: step, rows: rows, floor: floor) }
    defer { slow(fetch.slow) }
    try fetch.run { index, reply, frame in
      let request = pieces[index].request
      let asked = BulkReply.rows(step: step, block: request.block, first: request.positions.lowerBound)
      guard reply == asked, let frame, frame.count == request.rows * rowSize else {
        throw WorkerError.otherBits("memory rows")
      }
      frame.withBytes {
        cache.insert(
          $0, request.missing, of: blocks, block: request.block, positions: request.positions,
          into: matrix(request.block))
      }
    }
  }
}
