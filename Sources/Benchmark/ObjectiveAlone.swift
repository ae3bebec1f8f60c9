import MemoryBank
import Numerics
import Objective
import Training

/// `massl bench objective`: the block loss and its gradient on ready-made embeddings, slices on all threads.
///
/// `@unchecked Sendable`: loss and gradient number i are used by thread i alone; the rest is only read.
public final class ObjectiveAlone: @unchecked Sendable {
  private let definition: RunDefinition
  private let threads: Int
  private let student: Matrix
  private let teacher: Matrix
  private let blocks: [Factor]
  private let losses: [ConsistencyLoss]
  private let gradients: [Matrix]

  init(_ definition: RunDefinition, threads: Int) {
    let configuration = definition.configuration
    self.definition = definition
    self.threads = min(threads, definition.slices)
    let (batch, width) = (configuration.sliceSize, configuration.bottleneckDim)
    func embeddings(_ rows: Int, _ number: UInt64) -> Matrix {
      let drawn = drawnMatrix(rows: rows, columns: width, number)
      let unit = FloatBuffer(count: rows * width).matrix(rows: rows, columns: width)
      normalizeRows(drawn, floor: 1e-6, into: unit, keeping: FloatBuffer(count: rows).vector)
      return unit
    }
    student = embeddings(configuration.viewsPerImage * batch, 1)
    teacher = embeddings(2 * batch, 2)
    blocks = definition.blockDraw(of: MemoryVersion(step: 0, rows: 0)).seededBlocks(definition.seededRows)
      .map { $0.rounded(to: definition.precision) }
    let shape = LossShape(
      batch: batch, globalBatch: configuration.batchSize, views: configuration.viewsPerImage, width: width,
      blockSize: configuration.blockSize, blockCount: configuration.blocksUsed)
    losses = (0..<self.threads).map { _ in
      ConsistencyLoss(
        shape: shape, studentTemperature: configuration.studentTemp, precision: definition.precision)
    }
    let rows = configuration.viewsPerImage * batch
    gradients = (0..<self.threads).map { _ in FloatBuffer(count: rows * width).matrix(rows: rows, columns: width) }
  }

  public static func measure(_ definition: RunDefinition, threads: Int, rounds: Int) throws -> Figure {
    let objective = ObjectiveAlone(definition, threads: threads)
    let ceiling = SimultaneousProducts(MatrixProducts.ceiling, threads: threads, definition.precision)
    let seconds = try Timing.medians(rounds: rounds, [{ ceiling.run() }, { objective.run() }])
    let images = Double(definition.configuration.batchSize) / seconds[1]
    return Figure(
      "objective", images * definition.lossOperationsPerImage / 1e9, unit: "GFLOP/s",
      ceiling: .init(MatrixProducts.ceilingName(definition.precision), ceiling.operations / seconds[0] / 1e9),
      digest: "\(objective.gradients[0].buffer.digest)", imagesPerSecond: images, peakBytes: Timing.peakBytes)
  }

  func run() {
    let next = Counter()
    Timing.onThreads(threads) { [self] thread in
      // A copy shares the buffers that were made for it.
      var loss = losses[thread]
      while next.next(below: definition.slices) != nil {
        fill(gradients[thread], with: 0)
        loss.begin(teacher: teacher, temperature: definition.teacherTemperature[0])
        _ = loss.add(student: student, firstView: 0, blocks: blocks, to: gradients[thread])
      }
    }
  }
}
