import Foundation
import Training

extension RunPlan {
  /// What every process of the run holds: student, teacher and their successors, or a gradient.
  private static let weightBuffers = 4.0

  /// Refuses a run that this machine has no memory for, before it is asked for.
  /// - Parameter computes: whether the process computes slices: a step's blocks are then held too.
  /// - Throws: `ServiceError.tooLarge`.
  func checkMachineMemory(computes: Bool) throws {
    let weights = Self.weightBuffers * Double(layout.count) * 4
    let rows = Double(configuration.blocksUsed) * Double(configuration.blockSize)
    let blocks = computes ? rows * Double(configuration.bottleneckDim) * 4 : 0
    let machine = Double(ProcessInfo.processInfo.physicalMemory)
    guard weights + blocks > machine else { return }
    throw ServiceError.tooLarge(
      keys: weights > blocks
        ? "the network (embed_dim, depth, head_hidden_dim)" : "a step's blocks (block_size, blocks_per_step)",
      gibibytes: Int((weights + blocks) / 0x1p30), machine: Int(machine / 0x1p30))
  }
}
