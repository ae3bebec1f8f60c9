import MemoryBank
import Messages
import Networks
import Numerics
import Optimization
import Synchronization
import Training

/// What every slice of a step is computed with: weights and memory blocks, read by all compute threads.
final class StepInputs: Sendable {
  let step: Int
  let student: NetworkWeights
  let teacher: NetworkWeights
  /// `[blocks * blockSize, bottleneckDim]`, in the order of the step's blocks, as products read it.
  private let memory: FloatBuffer
  private let precision: Precision
  private let blockSize: Int
  private let blockCount: Int
  private let width: Int
  private let traffic: Mutex<StepTraffic>

  /// - Parameter memory: the step's blocks.
  init(
    _ definition: RunDefinition, step: Int, student: NetworkWeights, teacher: NetworkWeights, memory: FloatBuffer,
    traffic: StepTraffic = StepTraffic()
  ) {
    let configuration = definition.configuration
    self.step = step
    self.student = student
    self.teacher = teacher
    self.memory = memory
    precision = definition.precision
    blockSize = configuration.blockSize
    blockCount = configuration.blocksUsed
    width = configuration.bottleneckDim
    self.traffic = Mutex(traffic)
  }

  /// What the step's rows cost: said once, with whichever result is first.
  func takeTraffic() -> StepTraffic {
    traffic.withLock { traffic in
      defer { traffic = StepTraffic() }
      return traffic
    }
  }

  var blocks: [Factor] {
    (0..<blockCount).map {
      memory.factor(at: $0 * blockSize * width, rows: blockSize, columns: width, precision: precision)
    }
  }
}
