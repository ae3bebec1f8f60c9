import Coordination
import MemoryBank
import Numerics
import TestSupport

extension Simulation {
  /// How large a run is.
  struct Shape {
    let slices: Int
    let lastStep: Int
    let checkpointEverySteps: Int
    let disk: SimulatedDisk.Settings

    init(_ random: inout SplitMix64) {
      slices = 1 + Int(random.next(below: 12))
      lastStep = 4 + Int(random.next(below: 8))
      checkpointEverySteps = 1 + Int(random.next(below: 4))
      let rowsPerStep = Truth.rowsPerSlice * slices
      let memorySize = rowsPerStep * (1 + Int(random.next(below: 3))) + Int(random.next(below: UInt64(rowsPerStep)))
      disk = SimulatedDisk.Settings(
        memorySize: memorySize, keptCheckpoints: 1 + Int(random.next(below: 3)),
        cacheBytes: memorySize * Truth.width * 2 * Int(random.next(below: 3)))
    }

    /// More and smaller steps, and a memory of several extents that outlives some of them.
    init(withShards seed: UInt64, keptCheckpoints: Int) {
      var random = SplitMix64(seed: seed ^ 0x5A4D)
      slices = 1 + Int(random.next(below: 3))
      lastStep = 8 + Int(random.next(below: 10))
      checkpointEverySteps = 1 + Int(random.next(below: 3))
      let rowsPerExtent = 2 + Int(random.next(below: 6))
      let memorySize = rowsPerExtent * (2 + Int(random.next(below: 8))) + Int(random.next(below: 3))
      disk = SimulatedDisk.Settings(
        memorySize: memorySize, keptCheckpoints: keptCheckpoints,
        cacheBytes: memorySize * Truth.width * 2 * Int(random.next(below: 2)), rowsPerExtent: rowsPerExtent)
    }

    func memory(replicas: Int) -> MemorySettings {
      let layout = ExtentLayout(run: Digest(high: 0, low: 0), width: Truth.width, capacity: disk.rowsPerExtent)
      return MemorySettings(
        size: disk.memorySize, rowsPerExtent: disk.rowsPerExtent, extentBytes: layout.fileSize, replicas: replicas,
        rowsPerStep: Truth.rowsPerSlice * slices)
    }
  }
}
