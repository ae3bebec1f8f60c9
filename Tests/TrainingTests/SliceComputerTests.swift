import Configuration
import MemoryBank
import Networks
import Numerics
import Slices
import Testing
import Training
import Vision

/// A run of two slices a step, small enough to be computed many times over.
struct SmallRun {
  let definition: RunDefinition
  let floats: FloatBuffer
  let blocks: [Factor]
  var weights: NetworkWeights { NetworkWeights(floats, definition.precision) }

  init(batchNorm: Bool = false, koleo: Double = 0, precision: PrecisionName = .fp32) throws {
    var configuration = RunConfiguration()
    configuration.precision = precision
    configuration.embedDim = 24
    configuration.depth = 2
    configuration.numHeads = 3
    configuration.patchSize = 4
    configuration.imageSize = 16
    configuration.localSize = 8
    configuration.localCropsNumber = 3
    configuration.localViewsPerGroup = 2
    configuration.headHiddenDim = 20
    configuration.bottleneckDim = 16
    configuration.useBNInHead = batchNorm
    configuration.batchSize = 8
    configuration.sliceSize = 4
    configuration.epochs = 40
    configuration.memorySize = 64
    configuration.blockSize = 16
    configuration.koleoWeight = koleo
    definition = try RunDefinition(configuration: configuration, pictures: 21)
    floats = initialParameters(layout: definition.layout, seed: 3)
    let precision = definition.precision
    blocks = definition.blockDraw(of: MemoryVersion(step: 0, rows: 0)).seededBlocks(definition.seededRows)
      .map { $0.rounded(to: precision) }
  }

  static func jpeg(_ index: Int) -> [UInt8] {
    let pixels = (0..<30 * 26 * 3).map { UInt8(truncatingIfNeeded: ($0 * (index + 3)) >> 3 ^ $0) }
    return Picture(width: 30, height: 26, pixels: pixels).jpeg()
  }

  func sum(slice: Int, step: Int = 0, by computer: SliceComputer, weights: NetworkWeights? = nil) throws -> SliceSum {
    try computer.compute(
      step: step, slice: slice, student: weights ?? self.weights, teacher: self.weights, blocks: blocks,
      into: FloatBuffer(count: definition.layout.count), bytes: SmallRun.jpeg)
  }
}

@Suite struct SliceComputerTests {
  /// Those that this machine can compute in.
  static let precisions: [PrecisionName] = OneDNN.isUsable ? [.fp32, .bf16] : [.fp32]

  @Test(arguments: [false, true], precisions)
  func resultDoesNotDependOnWhatWasComputedBefore(batchNorm: Bool, precision: PrecisionName) throws {
    let run = try SmallRun(batchNorm: batchNorm, koleo: 0.1, precision: precision)
    let fresh = try run.sum(slice: 1, by: SliceComputer(run.definition))
    let used = try SliceComputer(run.definition)
    for slice in 0..<2 { _ = try run.sum(slice: slice, step: 1, by: used) }
    let again = try run.sum(slice: 1, by: used)
    #expect(again.payloadDigest == fresh.payloadDigest)
    #expect(again.losses == fresh.losses)
    #expect(try run.sum(slice: 0, by: used).payloadDigest != fresh.payloadDigest)
  }

  @Test func chosenAreTheSlotsOfTheRowsNearestToTheTeachersViews() throws {
    let run = try SmallRun()
    let computer = try SliceComputer(run.definition)
    let sum = try run.sum(slice: 1, step: 3, by: computer)
    let teacher = computer.lastTeacherEmbeddings
    let order = run.definition.blockDraw(of: MemoryVersion(step: 3, rows: 0))
    var marks = SlotMarks(size: 64)
    for (index, block) in run.blocks.compactMap(\.floats).enumerated() {
      for row in 0..<teacher.rows {
        let view = teacher.row(at: row)
        let nearest = (0..<block.rows).max { dot(view, block.row(at: $0)) < dot(view, block.row(at: $1)) }!
        marks.mark(order.slot(block: index, position: nearest))
      }
    }
    #expect(sum.chosen == marks.bytes && marks.share > 0)
  }

  /// The loss falls along the gradient as the gradient says: the whole slice, views and drop path included.
  @Test(arguments: [false, true]) func gradientPredictsTheLoss(batchNorm: Bool) throws {
    let run = try SmallRun(batchNorm: batchNorm, koleo: 0.05)
    let computer = try SliceComputer(run.definition)
    let sum = try run.sum(slice: 0, by: computer)
    let gradient = sum.gradient
    let squares = sumOfSquares(gradient.vector)
    #expect(squares > 0)
    func loss(movedBy distance: Float) throws -> Double {
      let moved = FloatBuffer(run.floats.array)
      addScaled(gradient.vector, by: distance / Float(squares.squareRoot()), to: moved.vector)
      return try run.sum(slice: 0, by: computer, weights: NetworkWeights(moved, .fp32)).losses[0].total
    }
    let step: Float = 1e-5
    let slope = try (loss(movedBy: step) - loss(movedBy: -step)) / Double(2 * step)
    #expect(abs(slope - squares.squareRoot()) < 0.02 * squares.squareRoot())
  }

  @Test func slicesAddUpInOneOrderOnly() throws {
    let run = try SmallRun()
    let computer = try SliceComputer(run.definition)
    func total(_ order: [Int]) throws -> SliceSum? {
      var tree = TreeSum<SliceSum>(tree: run.definition.tree)
      for slice in order {
        let sum = try run.sum(slice: slice, by: computer)
        tree.insert(sum, at: sum.slices, add: SliceSum.adding)
      }
      return tree.total
    }
    let (forward, backward) = (try #require(try total([0, 1])), try #require(try total([1, 0])))
    #expect(forward.payloadDigest == backward.payloadDigest)
    #expect(forward.payloadCount == run.definition.layout.count + 2 * run.definition.floatsPerSlice)
  }

  @Test func anUndecodablePictureIsReplacedByTheNextAndNamed() throws {
    let run = try SmallRun()
    let computer = try SliceComputer(run.definition)
    let broken = run.definition.picture(step: 0, indexInBatch: 2)
    let sum = try computer.compute(
      step: 0, slice: 0, student: run.weights, teacher: run.weights, blocks: run.blocks,
      into: FloatBuffer(count: run.definition.layout.count)
    ) { $0 == broken ? [1, 2, 3] : SmallRun.jpeg($0) }
    #expect(sum.undecodable.map(\.picture) == [broken])
    #expect(sum.losses[0].total.isFinite)
  }

  @Test func aFailedReadIsPassedOn() throws {
    struct Unreadable: Error {}
    let run = try SmallRun()
    let computer = try SliceComputer(run.definition)
    #expect(throws: Unreadable.self) {
      _ = try computer.compute(
        step: 0, slice: 0, student: run.weights, teacher: run.weights, blocks: run.blocks,
        into: FloatBuffer(count: run.definition.layout.count)
      ) { _ in throw Unreadable() }
    }
  }

  @Test(arguments: precisions) func theProbeIsTheSameTwice(precision: PrecisionName) throws {
    #expect(try probeDigest(precision) == probeDigest(precision))
  }

  @Test(.enabled(if: OneDNN.isUsable, "libdnnl, or AVX-512, is missing"), arguments: [false, true])
  func inBFloat16AGradientPointsWhereItDoesInFloats(batchNorm: Bool) throws {
    let (floats, rounded) = (
      try SmallRun(batchNorm: batchNorm), try SmallRun(batchNorm: batchNorm, precision: .bf16)
    )
    let exact = try floats.sum(slice: 0, by: SliceComputer(floats.definition))
    let near = try rounded.sum(slice: 0, by: SliceComputer(rounded.definition))
    let (a, b) = (exact.gradient.vector, near.gradient.vector)
    #expect(dot(a, b) / (sumOfSquares(a) * sumOfSquares(b)).squareRoot() > 0.999)
    #expect(abs(near.losses[0].total / exact.losses[0].total - 1) < 1e-2)
    #expect(near.payloadDigest != exact.payloadDigest)
    #expect(try probeDigest(.bf16) != probeDigest(.fp32))
  }

  @Test func anEpochSeesEveryPictureAtMostOnce() throws {
    let run = try SmallRun()
    let seen = (0..<run.definition.stepsPerEpoch).flatMap { step in
      (0..<8).map { run.definition.picture(step: step, indexInBatch: $0) }
    }
    #expect(Set(seen).count == seen.count)
    #expect(
      seen != (0..<2).flatMap { step in (0..<8).map { run.definition.picture(step: step + 2, indexInBatch: $0) } })
  }
}
