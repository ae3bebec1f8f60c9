import MemoryBank
import Messages
import Numerics
import Optimization
import Synchronization
import Training

/// What every slice of a step is computed with: weights and memory blocks, read by all compute threads.
final class StepInputs: Sendable {
  let step: Int
  let student: FloatBuffer
  let teacher: FloatBuffer
  /// `[blocks * blockSize, bottleneckDim]`, in the order of the step's blocks.
  private let memory: FloatBuffer
  private let blockSize: Int
  private let width: Int
  private let traffic: Mutex<StepTraffic>

  init(
    step: Int, student: FloatBuffer, teacher: FloatBuffer, memory: FloatBuffer, blockSize: Int, width: Int,
    traffic: StepTraffic = StepTraffic()
  ) {
    self.step = step
    self.student = student
    self.teacher = teacher
    self.memory = memory
    self.blockSize = blockSize
    self.width = width
    self.traffic = Mutex(traffic)
  }

  /// What the step's rows cost: said once, with whichever result is first.
  func takeTraffic() -> StepTraffic {
    traffic.withLock { traffic in
      defer { traffic = StepTraffic() }
      return traffic
    }
  }

  var blocks: [Matrix] {
    (0..<memory.count / (blockSize * width)).map {
      memory.matrix(at: $0 * blockSize * width, rows: blockSize, columns: width)
    }
  }
}
