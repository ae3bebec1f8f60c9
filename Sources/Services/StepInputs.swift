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
