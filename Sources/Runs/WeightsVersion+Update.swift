import Checkpoints
import MemoryBank
import Numerics
import Optimization
import Training

/// The share of its old value that a running statistic keeps, as in PyTorch's BatchNorm.
private let statisticsKeep: Float = 0.9

// MARK: - The next step's

extension WeightsVersion {
  /// The next step's weights and running statistics. Its memory is still this one's: the caller enqueues the rows.
  ///
  /// - Parameters:
  ///   - total: the sum over all slices of this step.
  ///   - take: gives buffers for `definition.layout.count` floats that nobody else holds.
  /// - Throws: `RunError.notFinite`.
  package func next(
    _ total: SliceSum, _ definition: RunDefinition, taking take: () -> FloatBuffer
  ) throws -> (version: WeightsVersion, update: UpdateReport) {
    // 1. Weights.
    let (student, teacher) = (take(), take())
    var optimizer = OptimizerState(steps: self.optimizer.steps, moments: self.optimizer.moments.map { _ in take() })
    let report = definition.optimizer.update(
      self.student, gradient: total.gradient, state: self.optimizer, learningRate: definition.learningRate[step],
      weightDecay: definition.weightDecay[step], into: student, &optimizer)
    guard report.gradientNorm.isFinite else { throw RunError.notFinite(step: step) }
    averageTeacher(self.teacher, student: student, momentum: definition.momentum[step], into: teacher)
    // 2. Running statistics.
    func statistics(_ old: FloatBuffer?, at offset: Int) -> FloatBuffer? {
      old.map { average($0, total.tail, at: offset, definition) }
    }
    var next = self
    next.step = step + 1
    next.newRows = nil
    (next.student, next.teacher, next.optimizer) = (student, teacher, optimizer)
    next.studentStatistics = statistics(studentStatistics, at: definition.rowFloats)
    next.teacherStatistics = statistics(teacherStatistics, at: definition.rowFloats + definition.statisticsLayout.count)
    (next.studentDigest, next.teacherDigest) = (student.digest, teacher.digest)
    return (next, report)
  }

  /// keep * old + (1 - keep) * the mean over the slices, which are added in their order.
  /// - Parameter offset: where the statistics begin in a slice's tail.
  private func average(_ old: FloatBuffer, _ tail: FloatBuffer, at offset: Int, _ definition: RunDefinition)
    -> FloatBuffer
  {
    let mean = FloatBuffer(count: old.count)
    for slice in 0..<definition.slices {
      addScaled(tail.vector(at: slice * definition.floatsPerSlice + offset, count: old.count), by: 1, to: mean.vector)
    }
    let new = FloatBuffer(count: old.count)
    Numerics.average(
      old.vector, keep: statisticsKeep, mean.vector, gain: (1 - statisticsKeep) / Float(definition.slices),
      into: new.vector)
    return new
  }
}

extension RunDefinition {
  /// Writes a step's new memory rows, `[batchSize, bottleneckDim]`, as they are stored.
  /// - Parameter stored: `newRowFloats`.
  package func store(_ rows: Matrix, into stored: FloatBuffer) {
    let rowSize = configuration.bottleneckDim * rowType.bytes
    stored.withMutableBytes(of: 0..<stored.count) { bytes in
      for row in 0..<rows.rows {
        rowType.store(
          rows.row(at: row),
          into: UnsafeMutableRawBufferPointer(rebasing: bytes[(row * rowSize)..<((row + 1) * rowSize)]))
      }
    }
  }

  /// Copies a step's new memory rows out of its slices' tails, `[batchSize, bottleneckDim]`.
  package func gatherRows(_ tail: FloatBuffer, into rows: FloatBuffer) -> Matrix {
    for slice in 0..<slices {
      copy(
        tail.vector(at: slice * floatsPerSlice, count: rowFloats),
        into: rows.vector(at: slice * rowFloats, count: rowFloats))
    }
    return rows.matrix(rows: configuration.batchSize, columns: configuration.bottleneckDim)
  }
}

// MARK: - A checkpoint's

extension WeightsVersion {
  /// What a checkpoint holds.
  /// - Throws: `CheckpointError`.
  package init(of checkpoint: Checkpoint, _ definition: RunDefinition) throws {
    let manifest = checkpoint.manifest
    self = .zero(definition)
    try checkpoint.load(content(definition))
    step = manifest.step
    optimizer.steps = manifest.optimizer.steps
    rows = manifest.rows
    floor = manifest.floor
    changes = manifest.changes
    memory = manifest.memory
    studentDigest = student.digest
    teacherDigest = teacher.digest
    for (found, expected, file) in [
      (studentDigest, manifest.student, Checkpoint.studentFile),
      (teacherDigest, manifest.teacher, Checkpoint.teacherFile),
    ] where found != expected {
      throw CheckpointError.damaged(
        file: "\(checkpoint.path)/\(file)", tensor: nil, reason: "does not have the weights of its manifest")
    }
  }
}
