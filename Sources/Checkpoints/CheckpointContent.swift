/// The tensors of a checkpoint, by the file that they go to. Buffers are only read while a checkpoint is written,
/// and only written while one is loaded; nobody else may write to them meanwhile.
public struct CheckpointContent: Sendable {
  /// Parameters, then the running statistics of BatchNorm if there are any.
  public var student: [TensorGroup]
  public var teacher: [TensorGroup]
  /// The optimizer's moments, a group each, told apart by their prefixes.
  public var optimizer: [TensorGroup]

  public init(student: [TensorGroup], teacher: [TensorGroup], optimizer: [TensorGroup]) {
    self.student = student
    self.teacher = teacher
    self.optimizer = optimizer
  }

  var files: [(name: String, groups: [TensorGroup])] {
    [(Checkpoint.studentFile, student), (Checkpoint.teacherFile, teacher), (Checkpoint.optimizerFile, optimizer)]
  }
}
