import Numerics

/// The block consistency loss of one slice, and its gradient, with the memory streamed block by block.
///
/// For each block M_b of memory rows, with Z the student's embeddings and T the teacher's,
/// P = softmax(Z M_b' / student temperature), Q = softmax(T M_b' / teacher temperature), row by row; the loss is the
/// mean of -sum Q_j log P_i over pairs (student view i, teacher view j, i != j), blocks and images. Nothing as wide
/// as the memory exists, but for the targets when they are kept:
///
///     loss.begin(teacher: t, temperature: 0.04)                                        // once a slice
///     total += loss.add(student: z, firstView: 0, blocks: blocks, to: gradient)        // once a group of views
///
/// A group is any run of neighbouring views; their gradients do not depend on one another. Targets are needed by every
/// group: with room for them they are worked out once and kept, else once a group; the bits are the same.
/// Everything is divided by the global batch, so slices' losses and gradients simply add.
///
/// Source: MaSSL (ICML 2024), the consistency loss; targets of a student view summed first.
public struct ConsistencyLoss {
  public let shape: LossShape
  /// Whether the targets of all blocks are kept for the groups that follow.
  public let keepsTargets: Bool

  /// Of what products read.
  public let precision: Precision

  private let studentSharpness: Float
  private var teacherSharpness: Float = 1
  /// `[2 batch, width]`: a copy, for the teacher's own may be overwritten between groups.
  private let teacher: Factor
  /// `[panelViews * batch, width]`: the student's embeddings, rounded; nil in fp32.
  private let student: Factor?
  /// `[blocks kept, 2 batch, blockSize]`.
  private let targets: FloatBuffer
  /// `[panelViews * batch, blockSize]`.
  private let logits: Matrix
  /// Views whose logits are held at once.
  private let panelViews: Int
  /// Blocks whose entropy is in `entropy`; their targets are ready if kept.
  private var blocksSeen = 0
  private var entropy = 0.0
  /// In each block, for each teacher row, the position of the memory row nearest to it (the largest target):
  /// block * 2 batch + teacher row. Whole after the first group.
  public private(set) var nearest: [Int]

  /// Rows of logits held at once: tall enough for a product at full speed, small enough for the cache. Part of the
  /// arithmetic: a product's rounding may follow from its height.
  static let panelRows = 256

  /// Bytes of targets that are kept for the groups that follow, unless told otherwise.
  public static let targetBytes = 256 << 20

  /// Floats that a slice of this shape takes here.
  public static func floatCount(
    shape: LossShape, precision: Precision = .fp32, targetBytes: Int = targetBytes
  ) -> Int {
    let blockTargets = 2 * shape.batch * shape.blockSize
    let kept = keepsTargets(shape, targetBytes) ? shape.blockCount : 1
    let panelRows = panelViews(shape) * shape.batch
    return precision.floats(for: 2 * shape.batch * shape.width) + kept * blockTargets + panelRows * shape.blockSize
      + (precision == .fp32 ? 0 : precision.floats(for: panelRows * shape.width))
  }

  private static func keepsTargets(_ shape: LossShape, _ targetBytes: Int) -> Bool {
    shape.blockCount * 2 * shape.batch * shape.blockSize * MemoryLayout<Float>.stride <= targetBytes
  }

  private static func panelViews(_ shape: LossShape) -> Int {
    max(1, min(shape.views, panelRows / shape.batch))
  }

  /// - Parameters:
  ///   - studentTemperature: > 0, no unit.
  ///   - precision: of the blocks that will be given.
  ///   - targetBytes: the targets of all blocks are kept if they fit.
  /// - Complexity: memory of one panel of logits, `[max(256, batch), blockSize]` at most, and of the targets.
  public init(
    shape: LossShape, studentTemperature: Double, precision: Precision = .fp32, targetBytes: Int = targetBytes
  ) {
    invariant(studentTemperature > 0)
    self.shape = shape
    self.precision = precision
    studentSharpness = Float(1 / studentTemperature)
    let blockTargets = 2 * shape.batch * shape.blockSize
    keepsTargets = Self.keepsTargets(shape, targetBytes)
    panelViews = Self.panelViews(shape)
    func factor(rows: Int) -> Factor {
      FloatBuffer(count: precision.floats(for: rows * shape.width))
        .factor(rows: rows, columns: shape.width, precision: precision)
    }
    teacher = factor(rows: 2 * shape.batch)
    student = precision == .fp32 ? nil : factor(rows: panelViews * shape.batch)
    nearest = Array(repeating: 0, count: shape.blockCount * 2 * shape.batch)
    targets = FloatBuffer(count: (keepsTargets ? shape.blockCount : 1) * blockTargets)
    logits = FloatBuffer(count: panelViews * shape.batch * shape.blockSize)
      .matrix(rows: panelViews * shape.batch, columns: shape.blockSize)
  }
}

// MARK: - A slice

extension ConsistencyLoss {
  /// Starts a slice.
  ///
  /// - Parameters:
  ///   - teacher: `[2 batch, width]`, view-major, rows of unit length; copied.
  ///   - temperature: the teacher's, > 0.
  public mutating func begin(teacher: Matrix, temperature: Double) {
    invariant(temperature > 0)
    teacherSharpness = Float(1 / temperature)
    convert(teacher, times: Self.scaleOfRounded(teacherSharpness, precision), into: self.teacher)
    blocksSeen = 0
    entropy = 0
  }

  /// Adds the share of a group of student views to the gradient of the embeddings.
  ///
  /// With Q the summed targets of a view and c their number, `gradient` gains
  /// (c P - Q) M_b / (student temperature * pairs * blocks * global batch) for each block, in block order.
  ///
  /// - Parameters:
  ///   - student: `[views in the group * batch, width]`, view-major, rows of unit length.
  ///   - firstView: the number of the group's first view; 0 and 1 are the global ones.
  ///   - blocks: all blocks of the step, each `[blockSize, width]`, in the loss's precision; the same ones for every
  ///     group of a slice.
  ///   - gradient: shape of `student`; added to.
  /// - Returns: the group's share of the loss, nats, divided by pairs, blocks and global batch.
  /// - Complexity: 4 * rows * blockSize * width flops a block, and half as many for 2 batch rows where targets are
  ///   not kept; allocates nothing.
  public mutating func add(student: Matrix, firstView: Int, blocks: [Factor], to gradient: Matrix) -> Double {
    let batch = shape.batch
    let views = student.rows / batch
    invariant(views * batch == student.rows && student.columns == shape.width)
    invariant(firstView >= 0 && firstView + views <= shape.views, "views \(firstView)..<\(firstView + views)")
    invariant(gradient.rows == student.rows && gradient.columns == student.columns)
    invariant(blocks.count == shape.blockCount, "\(blocks.count) blocks, not \(shape.blockCount)")
    let share = 1 / (Double(shape.pairs) * Double(shape.blockCount) * Double(shape.globalBatch))
    let gradientScale = Float(share * Double(studentSharpness))
    var loss = 0.0
    for (index, block) in blocks.enumerated() {
      invariant(block.rows == shape.blockSize && block.columns == shape.width)
      // 1. Q of both teacher views.
      let targets = targets(ofBlock: index, block)
      let (first, second) = (targets.rows(0..<batch), targets.rows(batch..<2 * batch))
      for start in stride(from: 0, to: views, by: panelViews) {
        let end = min(views, start + panelViews)
        let rows = start * batch..<end * batch
        let panel = logits.rows(0..<rows.count)
        // 2. Logits, [panel's views * batch, N].
        multiply(
          sharpened(student.rows(rows)), .asIs, block, .transposed,
          scale: Self.scaleOfProduct(studentSharpness, precision), into: panel)
        // 3. c P - Q in their place.
        for view in start..<end {
          let residuals = panel.rows((view - start) * batch..<(view - start + 1) * batch)
          switch firstView + view {
          case 0: loss += crossEntropyResiduals(residuals, targets: second, and: nil)
          case 1: loss += crossEntropyResiduals(residuals, targets: first, and: nil)
          default: loss += crossEntropyResiduals(residuals, targets: first, and: second)
          }
        }
        // 4. Gradient.
        let residuals = panel.factor(in: precision)
        convert(panel, times: Self.scaleOfRounded(gradientScale, precision), into: residuals)
        multiply(
          residuals, .asIs, block, scale: Self.scaleOfProduct(gradientScale, precision), keep: 1,
          into: gradient.rows(rows))
      }
    }
    return loss * share
  }

  /// The mean entropy of the targets over teacher rows and blocks, nats, times batch / global batch: slices add up.
  ///
  /// Log blockSize when the teacher finds all rows alike, 0 when it is certain. Whole after the first group.
  public var targetEntropy: Double {
    entropy / (2 * Double(shape.blockCount) * Double(shape.globalBatch))
  }

  /// Q, `[2 batch, blockSize]`, of one block.
  private mutating func targets(ofBlock index: Int, _ block: Factor) -> Matrix {
    let rows = 2 * shape.batch
    let place = targets.matrix(
      at: keepsTargets ? index * rows * shape.blockSize : 0, rows: rows, columns: shape.blockSize)
    if keepsTargets && index < blocksSeen { return place }
    multiply(
      teacher, .asIs, block, .transposed, scale: Self.scaleOfProduct(teacherSharpness, precision), into: place)
    let entropyOfBlock = softmaxRowsMeasuringEntropy(place)
    if index == blocksSeen {
      entropy += entropyOfBlock
      for row in 0..<rows { nearest[index * rows + row] = columnOfLargest(place, row: row) }
      blocksSeen += 1
    }
    return place
  }
}

// MARK: - Scales

/// A scale is a product's in fp32. In bf16 it is a factor's, applied where it is rounded: its rounding costs the same.
extension ConsistencyLoss {
  private static func scaleOfProduct(_ scale: Float, _ precision: Precision) -> Float { precision == .fp32 ? scale : 1 }

  private static func scaleOfRounded(_ scale: Float, _ precision: Precision) -> Float { precision == .fp32 ? 1 : scale }

  /// Of a panel: embeddings in fp32, in bf16 logits' factors.
  private func sharpened(_ embeddings: Matrix) -> Factor {
    guard let rounded = student?.rows(0..<embeddings.rows) else { return Factor(embeddings) }
    convert(embeddings, times: Self.scaleOfRounded(studentSharpness, precision), into: rounded)
    return rounded
  }
}
