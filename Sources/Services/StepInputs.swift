import MemoryBank
import Numerics
import Optimization
import Training
import Wire

/// What every slice of a step is computed with: weights and memory blocks, read by all compute threads.
final class StepInputs: Sendable {
  let step: Int
  let student: FloatBuffer
  let teacher: FloatBuffer
  /// `[blocks * blockSize, bottleneckDim]`, in the order of the step's blocks.
  private let memory: FloatBuffer
  private let blockSize: Int
  private let width: Int

  init(step: Int, student: FloatBuffer, teacher: FloatBuffer, memory: FloatBuffer, blockSize: Int, width: Int) {
    self.step = step
    self.student = student
    self.teacher = teacher
    self.memory = memory
    self.blockSize = blockSize
    self.width = width
  }

  var blocks: [Matrix] {
    (0..<memory.count / (blockSize * width)).map {
      memory.matrix(at: $0 * blockSize * width, rows: blockSize, columns: width)
    }
  }
}

/// Brings weights and memory to the step of a lease. Owned by one thread.
final class StepPreparation {
  private let plan: RunPlan
  private let bulk: BulkClient
  private let cache: RowCache
  private var newest: StepInputs?

  init(plan: RunPlan, bulk: BulkClient) {
    self.plan = plan
    self.bulk = bulk
    let configuration = plan.configuration
    // Half of 8 GiB at most: with fewer rows than the memory has, the newest fetched are kept.
    let rowBytes = configuration.bottleneckDim * MemoryLayout<Float>.stride
    cache = RowCache(
      memorySize: configuration.memorySize, capacity: min(configuration.memorySize, max((4 << 30) / rowBytes, 1)),
      seeded: SeededRows(seed: configuration.seed, width: configuration.bottleneckDim))
  }

  /// - Throws: `WorkerError`: the lease is to be given back.
  func inputs(for lease: Lease) throws -> StepInputs {
    if let newest, newest.step == lease.step { return newest }
    if let newest, newest.step > lease.step { cache.restart(rows: lease.rows, floor: lease.memoryFloor) }
    let student = try pull(.student, lease)
    guard student.digest == lease.student else { throw WorkerError.otherBits("the student's weights") }
    let inputs = StepInputs(
      step: lease.step, student: student, teacher: try teacher(lease, student), memory: try memory(lease),
      blockSize: plan.configuration.blockSize, width: plan.configuration.bottleneckDim)
    newest = inputs
    return inputs
  }

  /// Worked out from the teacher of the step before; pulled where there is none, or where its digest differs.
  private func teacher(_ lease: Lease, _ student: FloatBuffer) throws -> FloatBuffer {
    if let newest, newest.step == lease.step - 1 {
      let teacher = FloatBuffer(count: plan.layout.count)
      averageTeacher(
        newest.teacher, student: student, momentum: plan.momentum[lease.step - 1], into: teacher)
      if teacher.digest == lease.teacher { return teacher }
    }
    let teacher = try pull(.teacher, lease)
    guard teacher.digest == lease.teacher else { throw WorkerError.otherBits("the teacher's weights") }
    return teacher
  }

  private func pull(_ network: Network, _ lease: Lease) throws -> FloatBuffer {
    let buffer = FloatBuffer(count: plan.layout.count)
    let ranges = BulkClient.ranges(buffer.count)
    let answers = try bulk.ask(
      ranges.map { .weights(network: network, step: lease.step, offset: $0.lowerBound, count: $0.count) })
    for (range, answer) in zip(ranges, answers) {
      guard let frame = answer.bulk, frame.count == range.count * MemoryLayout<Float>.stride else {
        throw WorkerError.otherBits("a chunk of weights")
      }
      frame.copy(into: buffer, at: range.lowerBound)
    }
    return buffer
  }

  private func memory(_ lease: Lease) throws -> FloatBuffer {
    let configuration = plan.configuration
    let (size, width) = (configuration.blockSize, configuration.bottleneckDim)
    let blockPlan = plan.blockPlan(step: lease.step, rows: lease.rows, floor: lease.memoryFloor)
    let memory = FloatBuffer(count: blockPlan.blockCount * size * width)
    let rowsAFrame = max(1, BulkClient.chunk / width)
    for block in 0..<blockPlan.blockCount {
      let matrix = memory.matrix(at: block * size * width, rows: size, columns: width)
      let wanted = stride(from: 0, to: size, by: rowsAFrame).compactMap { first -> (Range<Int>, [UInt8])? in
        let positions = first..<min(size, first + rowsAFrame)
        let missing = cache.gather(blockPlan, block: block, positions: positions, into: matrix)
        return missing.contains { $0 != 0 } ? (positions, missing) : nil
      }
      let answers = try bulk.ask(
        wanted.map {
          .rows(step: lease.step, block: block, first: $0.0.lowerBound, count: $0.0.count, missing: $0.1)
        })
      for ((positions, missing), answer) in zip(wanted, answers) {
        let rows = missing.reduce(0) { $0 + $1.nonzeroBitCount }
        guard let frame = answer.bulk, frame.count == rows * width * MemoryLayout<Float>.stride else {
          throw WorkerError.otherBits("memory rows")
        }
        let received = FloatBuffer(count: rows * width)
        frame.copy(into: received, at: 0)
        cache.insert(
          received.matrix(rows: rows, columns: width), missing, of: blockPlan, block: block, positions: positions,
          into: matrix)
      }
    }
    return memory
  }
}
