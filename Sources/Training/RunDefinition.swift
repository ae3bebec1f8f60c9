import Configuration
import MemoryBank
import Networks
import Numerics
import Optimization
import Slices
import Vision

/// What follows from a run's configuration and the number of its pictures: sizes, schedules and orders.
///
/// Coordinator and workers make the same definition from the same words, so neither has to tell the other which pictures
/// are in a slice, which rows in a block, or what the temperature is.
public struct RunDefinition: Sendable {
  public let configuration: RunConfiguration
  /// Pictures in the data set.
  public let pictures: Int
  public let architecture: NetworkArchitecture
  public let layout: ParameterLayout
  public let statisticsLayout: StatisticsLayout
  public let stepsPerEpoch: Int
  /// The run ends before this step.
  public let lastStep: Int
  public let tree: SliceTree
  public let learningRate: CosineSchedule
  public let weightDecay: CosineSchedule
  /// Of the teacher's moving average.
  public let momentum: CosineSchedule
  public let teacherTemperature: WarmUpSchedule
  public let optimizer: Optimizer

  /// - Throws: `ConfigurationError` if the data set is smaller than a batch, `NetworkError` if sizes do not fit
  ///   together, `OptimizationError` if a warm-up is longer than the run.
  public init(configuration: RunConfiguration, pictures: Int) throws {
    try configuration.check(pictures: pictures)
    self.configuration = configuration
    self.pictures = pictures
    architecture = try NetworkArchitecture(configuration)
    layout = ParameterLayout(architecture)
    statisticsLayout = StatisticsLayout(architecture)
    stepsPerEpoch = configuration.stepsPerEpoch(pictures: pictures)
    lastStep = configuration.lastStep(pictures: pictures)
    tree = SliceTree(count: configuration.slicesPerStep)
    let steps = configuration.scheduledSteps(pictures: pictures)
    learningRate = try CosineSchedule(
      "lr", from: configuration.scaledLR, to: configuration.minLR, steps: steps,
      warmUpSteps: configuration.warmUpSteps(pictures: pictures))
    weightDecay = try CosineSchedule(
      "weight_decay", from: configuration.weightDecay, to: configuration.weightDecayEnd, steps: steps)
    momentum = try CosineSchedule("momentum_teacher", from: configuration.momentumTeacher, to: 1, steps: steps)
    teacherTemperature = try WarmUpSchedule(
      "teacher_temp", from: configuration.warmupTeacherTemp, to: configuration.teacherTemp, steps: steps,
      warmUpSteps: configuration.steps(inEpochs: configuration.warmupTeacherTempEpochs, pictures: pictures))
    let rule: OptimizerRule =
      switch configuration.optimizer {
      case .adamw: .adamW()
      case .sgd: .sgd()
      case .lars: .lars()
      }
    optimizer = Optimizer(
      rule, tensors: layout.tensors.map { UpdateTensor(range: $0.range, decays: $0.decays) },
      clipNorm: configuration.clipGrad == 0 ? nil : configuration.clipGrad)
  }
}

// MARK: - Precision

extension RunDefinition {
  /// Of what a step's products read.
  public var precision: Precision {
    switch configuration.precision {
    case .fp32: .fp32
    case .bf16: .bf16
    }
  }

  /// Floats that a network's rounded weights take besides the weights; 0 in fp32.
  public var roundedWeightFloats: Int {
    precision == .fp32 ? 0 : NetworkWeights.roundedCount(of: layout.count)
  }

  /// Floats that a step's blocks take as products read them.
  public var blockFloats: Int {
    precision.floats(for: configuration.blocksUsed * configuration.blockSize * configuration.bottleneckDim)
  }
}

// MARK: - Sizes

extension RunDefinition {
  /// Slices in a step.
  public var slices: Int { tree.count }

  /// Floats of one slice's new memory rows, `[sliceSize, bottleneckDim]`.
  public var rowFloats: Int { configuration.sliceSize * configuration.bottleneckDim }

  /// Floats that a step's new memory rows take as they are stored, the last one perhaps not filled.
  public var newRowFloats: Int {
    (configuration.batchSize * configuration.bottleneckDim * rowType.bytes + MemoryLayout<Float>.stride - 1)
      / MemoryLayout<Float>.stride
  }

  /// Whether a step draws most of the rows that the one before appended: then every worker needs them.
  public var drawsMostNewRows: Bool {
    2 * configuration.blocksUsed * configuration.blockSize > max(configuration.memorySize, configuration.batchSize)
  }

  /// Floats in a slice's tail: its rows, then the student's and the teacher's statistics.
  public var floatsPerSlice: Int { rowFloats + 2 * statisticsLayout.count }

  /// Floats in the payload of so many slices: their gradient, added up, then each one's tail.
  public func payloadCount(slices: Int) -> Int { layout.count + slices * floatsPerSlice }
}

// MARK: - Orders

extension RunDefinition {
  public func epoch(ofStep step: Int) -> Int { step / stepsPerEpoch }

  /// The epoch that runs once so many steps are done, counted from 1; the last at the run's end.
  public func runningEpoch(afterStep step: Int) -> Int { min(epoch(ofStep: step) + 1, epochsBegun) }

  /// Epochs that are begun in the course of the run, the last one perhaps not to its end.
  public var epochsBegun: Int { Int(configuration.epochs.rounded(.up)) }

  /// The step of this run that is as many passes over its data set in as a step of another run is over that's; the
  /// step itself where batches are equally large. Schedules, and the order of pictures, go on from there.
  public func step(of step: Int, in other: RunDefinition) -> Int {
    guard configuration.batchSize != other.configuration.batchSize else { return step }
    let (epochs, rest) = step.quotientAndRemainder(dividingBy: other.stepsPerEpoch)
    let part = Int((Double(rest) * Double(stepsPerEpoch) / Double(other.stepsPerEpoch)).rounded())
    // A step that no run comes to may stand in a file: it is past any end.
    let (whole, isTooMuch) = epochs.multipliedReportingOverflow(by: stepsPerEpoch)
    let (sum, isPastCounting) = whole.addingReportingOverflow(part)
    return isTooMuch || isPastCounting ? Int.max : sum
  }

  /// What the steps after so many will take at this rate; nil where there is none.
  public func secondsLeft(afterStep step: Int, imagesPerSecond rate: Double) -> Double? {
    rate > 0 ? Double((lastStep - step) * configuration.batchSize) / rate : nil
  }

  /// The picture at a place of a step's batch, by its index in the data set: the epoch's order is a keyed permutation.
  public func picture(step: Int, indexInBatch: Int) -> Int {
    let epoch = epoch(ofStep: step)
    let order = KeyedPermutation(
      count: pictures, seed: configuration.seed, purpose: .epochOrder, index: UInt64(epoch))
    return order[(step - epoch * stepsPerEpoch) * configuration.batchSize + indexInBatch]
  }

  /// The pictures of a slice, by their index in the data set.
  public func pictures(step: Int, slice: Int) -> [Int] {
    let size = configuration.sliceSize
    return (slice * size..<(slice + 1) * size).map { picture(step: step, indexInBatch: $0) }
  }

  /// Which rows are in which block of a step.
  public func blockDraw(of version: MemoryVersion) -> BlockDraw { configuration.memoryKeys.blockDraw(of: version) }

  /// How memory rows are stored and sent.
  public var rowType: RowType { configuration.rowType }

  /// The rows that the memory begins with.
  public var seededRows: SeededRows {
    SeededRows(seed: configuration.seed, width: configuration.bottleneckDim, rowType: rowType)
  }

  /// The files of the memory.
  /// - Parameter run: the run's identity.
  public func extentLayout(run: Digest) -> ExtentLayout { configuration.extentLayout(run: run) }

  /// Which rows are in the memory.
  public func memoryWindow(of version: MemoryVersion) -> MemoryWindow {
    MemoryWindow(size: configuration.memorySize, rows: version.rows, floor: version.floor)
  }

  /// The floor of this run's memory where it was `old` rows large, and its floor `floor`: rows below the old window
  /// may be gone, so a memory that grew begins there with seeded ones.
  public func floor(_ floor: Int, rows: Int, memoryWas old: Int) -> Int {
    configuration.memorySize > old ? max(floor, rows - old) : floor
  }
}
