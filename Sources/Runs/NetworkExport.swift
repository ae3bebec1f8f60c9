import Checkpoints
import Durability
import Networks
import Numerics
import Training

/// Writes one network of a checkpoint, running statistics included, to a file of its own.
///
/// - Parameters:
///   - file: of the checkpoint: `Checkpoint.teacherFile` or `Checkpoint.studentFile`.
///   - path: replaced whole, or not at all.
/// - Returns: how many tensors were written.
/// - Throws: `CheckpointError`, `DurabilityError`.
public func exportNetwork(
  _ file: String, of checkpoint: Checkpoint, to path: String, in storage: any Storage
) throws -> Int {
  let definition = try RunDefinition(of: checkpoint.manifest)
  let groups = definition.tensorGroups(
    FloatBuffer(count: definition.layout.count), initialStatistics(layout: definition.statisticsLayout))
  let isStudent = file == Checkpoint.studentFile
  try checkpoint.load(
    CheckpointContent(student: isStudent ? groups : [], teacher: isStudent ? [] : groups, optimizer: []))
  let temporary = path + ".tmp"
  do {
    try SafetensorsFile.write(groups, metadata: checkpoint.manifest.metadata, to: temporary, in: storage)
    try storage.rename(temporary, to: path)
  } catch {
    try? storage.remove(temporary)
    throw error
  }
  try storage.synchronizeDirectory(parent(of: path))
  return groups.reduce(0) { $0 + $1.entries.count }
}
