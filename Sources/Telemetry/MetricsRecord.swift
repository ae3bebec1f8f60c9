/// What is recorded of a step: one line of `metrics.jsonl`, one JSON object.
public struct MetricsRecord: Sendable, Equatable {
  /// Steps done, this one included.
  public var step: Int
  /// Passes over the data set done, this step included.
  public var epoch: Double
  public var loss: Double
  public var lr: Double
  public var weightDecay: Double
  public var momentumTeacher: Double
  public var teacherTemp: Double
  /// Norm of the whole gradient before clipping.
  public var gradientNorm: Double
  public var imagesPerSecond: Double
  /// Workers that took part.
  public var workers: Int
  /// Rows enqueued since the run began.
  public var memoryRows: Int
  /// Seconds since 1970.
  public var time: Double

  public init(
    step: Int, epoch: Double, loss: Double, lr: Double, weightDecay: Double, momentumTeacher: Double,
    teacherTemp: Double, gradientNorm: Double, imagesPerSecond: Double, workers: Int, memoryRows: Int, time: Double
  ) {
    self.step = step
    self.epoch = epoch
    self.loss = loss
    self.lr = lr
    self.weightDecay = weightDecay
    self.momentumTeacher = momentumTeacher
    self.teacherTemp = teacherTemp
    self.gradientNorm = gradientNorm
    self.imagesPerSecond = imagesPerSecond
    self.workers = workers
    self.memoryRows = memoryRows
    self.time = time
  }

  /// The record as one line, without its newline. `step` comes first, for `MetricsWriter` looks for it there.
  public func json() -> String {
    let numbers: [(String, Double)] = [
      ("epoch", epoch), ("loss", loss), ("lr", lr), ("weight_decay", weightDecay),
      ("momentum_teacher", momentumTeacher), ("teacher_temp", teacherTemp), ("gradient_norm", gradientNorm),
      ("images_per_second", imagesPerSecond),
    ]
    // JSON has no infinities and no NaN.
    let fields = numbers.map { "\"\($0)\":\($1.isFinite ? "\($1)" : "null")" }
    let tail = "\"workers\":\(workers),\"memory_rows\":\(memoryRows),\"time\":\(time)"
    return "{\"step\":\(step),\(fields.joined(separator: ",")),\(tail)}"
  }
}
