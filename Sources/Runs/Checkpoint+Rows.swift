import Checkpoints
import MemoryBank

extension Checkpoint {
  /// Does what needs the checkpoint's memory rows, and says why where they were let go.
  /// - Throws: `CheckpointError.weightsOnly`; what `body` throws.
  package func withRows<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch MemoryBankError.missingExtent where manifest.weightsOnly == true {
      throw CheckpointError.weightsOnly(checkpoint: path)
    }
  }
}
