import Checkpoints
import Coordination
import MemoryBank
import Messages
import Networks
import Numerics
import Optimization
import Training
import WeightFiles

/// Everything that the leases of one step are computed with, and what the next update goes on from.
///
/// Nobody writes to a version's buffers once it is made: it is served, checkpointed and updated from at the same time.
package struct WeightsVersion: Sendable {
  /// Updates done: the step that these weights are for.
  package var step: Int
  package var student: FloatBuffer
  package var teacher: FloatBuffer
  /// Running mean and variance of the student's BatchNorms; nil without BatchNorm.
  var studentStatistics: FloatBuffer?
  var teacherStatistics: FloatBuffer?
  package var optimizer: OptimizerState
  package var studentDigest: Digest
  package var teacherDigest: Digest
  /// Of all rows enqueued so far.
  package var memory: Digest
  /// Rows enqueued so far.
  package var rows: Int
  /// Rows below this are seeded, not stored.
  package var floor: Int
  /// The rows that the update before this step appended, `[batchSize, bottleneckDim]`, as they are stored; nil where workers
  /// do not fetch them from each other.
  package var newRows: FloatBuffer?
  /// What was changed in the course of the run up to here, the last change last.
  package var changes: [ConfigurationChange] = []

  /// A run's first: drawn weights, the teacher's equal to the student's.
  package static func initial(_ definition: RunDefinition) -> WeightsVersion {
    make(definition, student: initialParameters(layout: definition.layout, seed: definition.configuration.seed))
  }

  /// A run's first, of somebody's weights.
  package static func initial(_ definition: RunDefinition, _ pretrained: PretrainedWeights) -> WeightsVersion {
    var version = make(definition, student: pretrained.parameters)
    // Nobody writes to them, so they may be one buffer.
    version.studentStatistics = pretrained.statistics
    version.teacherStatistics = pretrained.statistics
    return version
  }

  /// Weights that are to be loaded.
  static func zero(_ definition: RunDefinition) -> WeightsVersion {
    make(definition, student: FloatBuffer(count: definition.layout.count))
  }

  private static func make(_ definition: RunDefinition, student: FloatBuffer) -> WeightsVersion {
    let teacher = FloatBuffer(count: definition.layout.count)
    copy(student.vector, into: teacher.vector)
    return WeightsVersion(
      step: 0, student: student, teacher: teacher,
      studentStatistics: initialStatistics(layout: definition.statisticsLayout),
      teacherStatistics: initialStatistics(layout: definition.statisticsLayout),
      optimizer: definition.optimizer.makeState(),
      studentDigest: student.digest, teacherDigest: teacher.digest, memory: MemoryDigest().state, rows: 0, floor: 0)
  }

  /// Which rows its step's memory has.
  package var memoryVersion: MemoryVersion { MemoryVersion(step: step, rows: rows, floor: floor) }

  /// The same, but that the rows below `floor` are forgotten.
  package func forgetting(below floor: Int) -> WeightsVersion {
    var version = self
    version.changes.append(
      ConfigurationChange(
        step: step, key: ConfigurationChange.floorKey, from: "\(self.floor)", to: "\(floor)"))
    version.floor = floor
    return version
  }

  /// As the state machine knows it.
  package var updated: VersionIdentity {
    VersionIdentity(step: step, student: studentDigest, teacher: teacherDigest, rows: rows, memoryFloor: floor)
  }

  package func buffer(of network: Messages.Network) -> FloatBuffer? {
    switch network {
    case .student: student
    case .teacher: teacher
    case .studentStatistics: studentStatistics
    case .teacherStatistics: teacherStatistics
    case .newRows: newRows
    }
  }

  /// What workers may fetch from each other, in this order: the student, and the new rows if there are any.
  package var exchanged: [FloatBuffer] { [student] + (newRows.map { [$0] } ?? []) }

  /// Its buffers by the names that they have in a checkpoint.
  package func content(_ definition: RunDefinition) -> CheckpointContent {
    CheckpointContent(
      student: definition.tensorGroups(student, studentStatistics),
      teacher: definition.tensorGroups(teacher, teacherStatistics),
      optimizer: zip(definition.optimizer.rule.momentNames, optimizer.moments).map {
        TensorGroup(prefix: $0 + ".", buffer: $1, entries: definition.layout.tensors.map { TensorEntry($0) })
      })
  }
}

extension RunDefinition {
  /// A network's buffers by the names that they have in a file.
  /// - Parameter statistics: nil without BatchNorm.
  func tensorGroups(_ weights: FloatBuffer, _ statistics: FloatBuffer?) -> [TensorGroup] {
    [TensorGroup(buffer: weights, entries: layout.tensors.map { TensorEntry($0) })]
      + (statistics.map { [TensorGroup(buffer: $0, entries: statisticsLayout.tensors.map { TensorEntry($0) })] } ?? [])
  }
}

extension ConfigurationChange {
  /// Not a key: rows that were lost and forgotten are told as one, for they are a cause of other bits too.
  static let floorKey = "memory_floor"
  var isOfFloor: Bool { key == Self.floorKey }
  /// Not a key either: a fork that goes on with other pictures.
  static let dataKey = "data"
  /// Nor this: a fork that goes on with the weights of a file; from and to are digests of the student.
  static let weightsKey = "weights"
}
