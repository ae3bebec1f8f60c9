import Configuration
import MemoryBank
import Numerics

/// What a configuration says of the memory: enough for whoever holds rows and knows nothing else of the run.
extension RunConfiguration {
  /// How rows are stored and sent.
  public var rowType: RowType {
    switch memoryDtype {
    case .fp32: .fp32
    case .fp16: .fp16
    }
  }

  /// The memory's files.
  /// - Parameter run: the run's identity.
  public func extentLayout(run: Digest) -> ExtentLayout {
    ExtentLayout(run: run, width: bottleneckDim, capacity: extentRows, rowType: rowType)
  }

  /// Which rows a step's blocks have.
  public var memoryKeys: MemoryKeys {
    MemoryKeys(
      size: memorySize, blockSize: blockSize, blocksPerStep: blocksUsed, granule: memoryGranule, seed: seed)
  }
}
