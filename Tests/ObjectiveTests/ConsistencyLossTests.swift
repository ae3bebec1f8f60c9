import Foundation
import Numerics
import Objective
import TestSupport
import Testing

@Suite struct ConsistencyLossTests {
  struct Sizes: CustomTestStringConvertible {
    var batch: Int, views: Int, width: Int, blockSize: Int, blocks: Int
    var testDescription: String { "\(batch) images, \(views) views, \(blocks) blocks of \(blockSize) x \(width)" }
  }

  struct Case {
    var shape: LossShape
    var student: Matrix
    var teacher: Matrix
    var blocks: [Matrix]
    var naive: NaiveLoss

    init(_ sizes: Sizes, globalBatch: Int? = nil, seed: UInt64 = 1) {
      var random = RandomFloats(seed: seed)
      let globalBatch = globalBatch ?? sizes.batch
      shape = LossShape(
        batch: sizes.batch, globalBatch: globalBatch, views: sizes.views, width: sizes.width,
        blockSize: sizes.blockSize, blockCount: sizes.blocks)
      student = random.embeddings(rows: sizes.views * sizes.batch, width: sizes.width)
      teacher = random.embeddings(rows: 2 * sizes.batch, width: sizes.width)
      blocks = (0..<sizes.blocks).map { _ in random.embeddings(rows: sizes.blockSize, width: sizes.width) }
      naive = NaiveLoss(
        batch: sizes.batch, views: sizes.views, globalBatch: globalBatch, studentTemperature: 0.1,
        teacherTemperature: 0.05, blocks: blocks.map(doubles))
    }

    /// Loss, gradient and entropy, with the views in groups of the given sizes.
    func run(
      groups: [Int]? = nil, precision: Precision = .fp32, targetBytes: Int = 1 << 30
    ) -> (loss: Double, gradient: Matrix, entropy: Double) {
      let gradient = FloatBuffer(count: student.rows * student.columns)
        .matrix(rows: student.rows, columns: student.columns)
      var loss = ConsistencyLoss(
        shape: shape, studentTemperature: 0.1, precision: precision, targetBytes: targetBytes)
      // Copies, for rounding takes the floats' place.
      let blocks = blocks.map { block in
        FloatBuffer(block.array).matrix(rows: block.rows, columns: block.columns).rounded(to: precision)
      }
      loss.begin(teacher: teacher, temperature: 0.05)
      var (total, view) = (0.0, 0)
      for count in groups ?? [shape.views] {
        let rows = view * shape.batch..<(view + count) * shape.batch
        total += loss.add(student: student.rows(rows), firstView: view, blocks: blocks, to: gradient.rows(rows))
        view += count
      }
      return (total, gradient, loss.targetEntropy)
    }
  }

  static let small = Sizes(batch: 3, views: 4, width: 7, blockSize: 13, blocks: 3)

  @Test(arguments: [
    Sizes(batch: 1, views: 2, width: 3, blockSize: 1, blocks: 1), small,
    Sizes(batch: 2, views: 3, width: 17, blockSize: 1031, blocks: 2),
    Sizes(batch: 130, views: 3, width: 5, blockSize: 9, blocks: 2),
  ]) func valueAndEntropyMatchNaive(sizes: Sizes) {
    let c = Case(sizes)
    let (loss, _, entropy) = c.run()
    let expected = c.naive.value(student: doubles(c.student), teacher: doubles(c.teacher))
    #expect(abs(loss - expected) <= 2e-6 * max(1, expected))
    #expect(abs(entropy - c.naive.entropy(teacher: doubles(c.teacher))) < 1e-5)
  }

  @Test func nearestRowsAreThoseWithTheLargestProduct() {
    let c = Case(Sizes(batch: 5, views: 3, width: 6, blockSize: 21, blocks: 4))
    var loss = ConsistencyLoss(shape: c.shape, studentTemperature: 0.1)
    loss.begin(teacher: c.teacher, temperature: 0.05)
    let gradient = FloatBuffer(count: c.student.rows * 6).matrix(rows: c.student.rows, columns: 6)
    _ = loss.add(student: c.student, firstView: 0, blocks: c.blocks.map { Factor($0) }, to: gradient)
    let expected = c.blocks.flatMap { block in
      (0..<10).map { row in
        (0..<21).max { dot(c.teacher.row(at: row), block.row(at: $0)) < dot(c.teacher.row(at: row), block.row(at: $1)) }
      }
    }
    #expect(loss.nearest == expected)
  }

  @Test(arguments: [
    small, Sizes(batch: 2, views: 2, width: 5, blockSize: 8, blocks: 1),
    Sizes(batch: 1, views: 5, width: 9, blockSize: 33, blocks: 2),
  ]) func gradientMatchesCentralDifferences(sizes: Sizes) {
    let c = Case(sizes)
    let gradient = doubles(c.run().gradient)
    let teacher = doubles(c.teacher)
    let expected = slopes(of: { c.naive.value(student: $0, teacher: teacher) }, at: doubles(c.student))
    let scale = expected.joined().map(abs).max()!
    for (found, wanted) in zip(gradient.joined(), expected.joined()) { #expect(abs(found - wanted) < 1e-5 * scale) }
  }

  @Test(arguments: [[2, 2], [2, 1, 1], [1, 1, 1, 1]]) func groupsOfViewsGiveTheWhole(groups: [Int]) {
    let c = Case(Self.small)
    let (whole, parts) = (c.run(), c.run(groups: groups))
    #expect(abs(whole.loss - parts.loss) < 1e-6)
    #expect(abs(whole.entropy - parts.entropy) < 1e-9)
    for (a, b) in zip(whole.gradient.array, parts.gradient.array) { #expect(abs(a - b) < 1e-6) }
  }

  @Test func keepingTargetsChangesNoBits() {
    let c = Case(Sizes(batch: 3, views: 5, width: 19, blockSize: 41, blocks: 4))
    let (kept, redone) = (c.run(groups: [2, 2, 1]), c.run(groups: [2, 2, 1], targetBytes: 0))
    #expect(kept.loss == redone.loss)
    #expect(kept.entropy == redone.entropy)
    #expect(kept.gradient.array == redone.gradient.array)
  }

  @Test(.enabled(if: OneDNN.isUsable, "libdnnl, or AVX-512, is missing"), arguments: [[5], [2, 2, 1]])
  func inBFloat16ItIsNearTheNaiveOne(groups: [Int]) {
    let c = Case(Sizes(batch: 3, views: 5, width: 32, blockSize: 41, blocks: 4))
    let (rounded, redone) = (
      c.run(groups: groups, precision: .bf16), c.run(groups: groups, precision: .bf16, targetBytes: 0)
    )
    let expected = c.run()
    #expect(abs(rounded.loss - expected.loss) < 1e-2 * expected.loss)
    #expect(abs(rounded.entropy - expected.entropy) < 1e-2)
    let (found, wanted) = (rounded.gradient.array, expected.gradient.array)
    let distance = zip(found, wanted).map { ($0 - $1) * ($0 - $1) }.reduce(0, +).squareRoot()
    #expect(distance < 2e-2 * wanted.map { $0 * $0 }.reduce(0, +).squareRoot())
    #expect(found != wanted)
    #expect(redone.gradient.array == found && redone.loss == rounded.loss)
  }

  @Test func streamedBlocksEqualTheSumOfBlocksAlone() {
    let c = Case(Self.small)
    let whole = c.run()
    var (sum, gradient) = (0.0, [Float](repeating: 0, count: whole.gradient.array.count))
    for block in c.blocks {
      var one = c
      one.blocks = [block]
      one.shape = LossShape(batch: 3, globalBatch: 3, views: 4, width: 7, blockSize: 13, blockCount: 1)
      let part = one.run()
      sum += part.loss / 3
      gradient = zip(gradient, part.gradient.array).map { $0 + $1 / 3 }
    }
    #expect(abs(sum - whole.loss) < 1e-6)
    for (a, b) in zip(whole.gradient.array, gradient) { #expect(abs(a - b) < 1e-6) }
  }

  @Test func slicesAddUpToTheBatch() {
    let whole = Case(Sizes(batch: 4, views: 3, width: 6, blockSize: 10, blocks: 2))
    let expected = whole.run()
    var loss = 0.0
    for slice in 0..<2 {
      var part = Case(Sizes(batch: 2, views: 3, width: 6, blockSize: 10, blocks: 2), globalBatch: 4)
      part.blocks = whole.blocks
      for view in 0..<3 {
        copy(
          whole.student.rows(view * 4 + slice * 2..<view * 4 + slice * 2 + 2),
          into: part.student.rows(view * 2..<view * 2 + 2))
        if view < 2 {
          copy(
            whole.teacher.rows(view * 4 + slice * 2..<view * 4 + slice * 2 + 2),
            into: part.teacher.rows(view * 2..<view * 2 + 2))
        }
      }
      let found = part.run()
      loss += found.loss
      for view in 0..<3 {
        for image in 0..<2 {
          for column in 0..<6 {
            #expect(
              abs(found.gradient[view * 2 + image, column] - expected.gradient[view * 4 + slice * 2 + image, column])
                < 1e-6)
          }
        }
      }
    }
    #expect(abs(loss - expected.loss) < 1e-6)
  }

  @Test func equalRowsGiveTheLogarithmOfTheBlock() {
    let c = Case(Self.small)
    for block in c.blocks { for row in 1..<block.rows { copy(block.row(at: 0), into: block.row(at: row)) } }
    let found = c.run()
    #expect(abs(found.loss - log(13)) < 1e-5)
    #expect(abs(found.entropy - log(13)) < 1e-5)
  }

  @Test func survivesLogitsOf1e4() {
    let c = Case(Self.small)
    scale(c.student, by: 1e3)
    scale(c.teacher, by: 1e3)
    let found = c.run()
    #expect(found.loss.isFinite && found.loss > 0)
    #expect(isFinite(found.gradient.buffer.vector))
  }

  @Test func aNaNEmbeddingShowsInTheLoss() {
    let c = Case(Self.small)
    c.student[4, 2] = .nan
    #expect(c.run().loss.isNaN)
  }
}
