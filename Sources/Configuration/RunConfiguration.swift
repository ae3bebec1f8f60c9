/// Every setting of a run, as plain values: one property a configuration key, its name the key's in camel case.
///
/// The initial values are the published ViT-S/16 recipe; they are the only place where a default stands. What a key
/// means, what it may be and when it may change is in `ConfigurationKey.all`. A configuration that comes from
/// `RunConfiguration(layers:)` is checked: no range, divisibility or order needs to be looked at again, except
/// against the data set (`check(pictures:)`).
public struct RunConfiguration: Sendable, Equatable {
  // MARK: Architecture

  /// Embedding width of the backbone.
  public var embedDim = 384
  /// Number of transformer blocks.
  public var depth = 12
  /// Number of attention heads; divides `embedDim`.
  public var numHeads = 6
  /// Side of a patch, in pixels; divides `imageSize` and `localSize`.
  public var patchSize = 16
  /// Hidden width of the projection head.
  public var headHiddenDim = 2048
  /// Width of the head's output, and of a memory row.
  public var bottleneckDim = 256
  /// Whether the head normalises its hidden layers over the slice's embeddings.
  public var useBNInHead = false
  /// Whether the backbone's output is the mean of the patch tokens instead of the class token.
  public var useMeanPooling = false
  /// Register tokens between the class token and the patches; no part of the backbone's output.
  public var registers = 0
  /// What LayerScale's factors begin with; 0: the blocks have none.
  public var layerScale = 0.0
  /// Off, as the reference's and torchvision's folders of pictures have it.
  public var exifOrientation = false
  /// Stochastic depth of the student's last block; the rate rises linearly from 0 at the first. 0..<1.
  public var dropPathRate = 0.1

  // MARK: Views

  /// Side of a global view, in pixels.
  public var imageSize = 224
  /// Side of a local view, in pixels.
  public var localSize = 96
  /// Local views of each picture, besides the two global ones.
  public var localCropsNumber = 10
  /// Local views that pass the student together, at most. Part of the identity, for it decides rounding.
  public var localViewsPerGroup = 10
  /// Share of the picture's area that a global view covers.
  public var globalCropsScale = 0.32...1.0
  /// Share of the picture's area that a local view covers.
  public var localCropsScale = 0.05...0.32
  /// Width over height of a crop, drawn uniformly in the logarithm.
  public var cropAspectRatio = 0.75...(4.0 / 3.0)
  public var flipProbability = 0.5
  public var colorJitterProbability = 0.8
  /// Largest relative change of brightness.
  public var brightness = 0.4
  /// Largest relative change of contrast.
  public var contrast = 0.4
  /// Largest relative change of saturation.
  public var saturation = 0.2
  /// Largest turn of the hue, in turns; 0...0.5.
  public var hue = 0.1
  public var grayscaleProbability = 0.2
  /// Probability that the first global view is blurred.
  public var blurProbabilityView0 = 1.0
  /// Probability that the second global view is blurred.
  public var blurProbabilityView1 = 0.1
  /// Probability that a local view is blurred.
  public var blurProbabilityLocal = 0.5
  /// Standard deviation of the blur, in pixels.
  public var blurSigma = 0.1...2.0
  /// Probability that the second global view is solarized; no other view ever is.
  public var solarizeProbability = 0.2
  /// Levels (of 255) from here up are inverted by solarizing; 0...256.
  public var solarizeThreshold = 128
  /// Mean of red, green and blue on a scale of 0...1, subtracted from the pixels.
  public var normalizationMean = [0.485, 0.456, 0.406]
  /// Standard deviation of red, green and blue, by which the pixels are divided.
  public var normalizationStd = [0.229, 0.224, 0.225]

  // MARK: Batch

  /// Pictures in one optimizer update, over all workers together.
  public var batchSize = 128
  /// Pictures that one thread computes at once; divides `batchSize`.
  public var sliceSize = 8
  /// Keys every random number of the run.
  public var seed: UInt64 = 0
  /// What products multiply; they add up in fp32.
  public var precision = PrecisionName.fp32
  /// Which processors' rounding the run has.
  public var computeClass = ComputeClassName.auto

  // MARK: Schedule and optimizer

  /// Passes over the data set, above 0; the schedules' length.
  public var epochs = 800.0
  /// Steps after which the run ends, whatever `epochs` says. It moves no schedule.
  public var maxSteps: Int?
  public var optimizer = OptimizerName.adamw
  /// Learning rate for 256 pictures a batch; the rate used is `lr · batchSize / 256`.
  public var lr = 5e-4
  /// Learning rate at the end of the run, not scaled by the batch.
  public var minLR = 1e-6
  /// Epochs in which the learning rate rises linearly from 0.
  public var warmupEpochs = 0.0
  /// Steps in which it does, in place of `warmupEpochs`; nil: as those say.
  public var warmupSteps: Int?
  /// Weight decay at the beginning.
  public var weightDecay = 0.04
  /// Weight decay at the end.
  public var weightDecayEnd = 0.4
  /// Momentum of the teacher's moving average at the beginning; it ends at 1.
  public var momentumTeacher = 0.992
  /// Largest norm of each parameter tensor's gradient; 0: gradients are not clipped.
  public var clipGrad = 3.0

  // MARK: Objective and memory

  public var studentTemp = 0.1
  /// Teacher's temperature after its warm-up.
  public var teacherTemp = 0.07
  /// Teacher's temperature at the beginning.
  public var warmupTeacherTemp = 0.04
  /// Epochs in which the teacher's temperature goes from `warmupTeacherTemp` to `teacherTemp`.
  public var warmupTeacherTempEpochs = 30.0
  /// Weight of the KoLeo term; 0: none.
  public var koleoWeight = 0.0
  /// Rows in the memory (the reference's `out_dim`).
  public var memorySize = 131072
  /// Rows in a block (the reference's `partition_size`); divides `memorySize`.
  public var blockSize = 16384
  /// Blocks that a step's loss is taken over; 0: all of them.
  public var blocksPerStep = 0
  /// How rows are stored and sent; part of the identity, for rows are rounded to it.
  public var memoryDtype = MemoryDtypeName.fp32
  /// Rows that stand next to each other in the memory and are drawn together; divides `blockSize`.
  public var memoryGranule = 1
  /// Rows in one file of the memory; 0: what makes 64 MiB, at most 65,536.
  public var extentRows = 0

  // MARK: Operation

  /// Steps from one checkpoint to the next; 0: by the clock alone.
  public var checkpointEverySteps = 0
  /// Minutes from one checkpoint to the next; 0: by steps alone. With both 0 only the end of the run writes one.
  public var checkpointEveryMinutes = 10.0
  /// Newest checkpoints kept.
  public var keepCheckpoints = 3
  /// Of every so many steps the first checkpoint is kept for good; 0: none.
  public var keepEverySteps = 0
  /// Whether checkpoints that are kept for good keep their memory rows, so that they can be gone on from.
  public var keepMemory = false
  /// Steps from one judgement of the teacher's features to the next; 0: none.
  public var evaluateEverySteps = 0
  /// Pictures that they are judged by.
  public var evaluateImages = 512
  /// Share of the leases that are given to a second worker, and whose answers are compared. 0...1.
  public var auditRate = 0.001
  /// What becomes of steps that a host found wrong may have spoilt.
  public var auditAction = AuditAction.rollback
  /// When workers fetch each step's weights from each other, instead of all from the coordinator.
  public var exchange = WeightExchange.automatic
  /// Seconds from SIGTERM to the end of the process, the last checkpoint included.
  public var grace = 30.0
  /// Shards (`massl memory`) that hold each whole file of the memory.
  public var memoryReplicas = 1
  /// Bytes a second that each shard copies at most, in the background; 0: no bound.
  public var memoryCopyRate = 100 << 20
  /// Where the coordinator listens: `tcp://HOST:PORT`, 0 as the port for any free one.
  public var listen = "tcp://127.0.0.1:5570"
  public var logLevel = LogLevelName.info

  /// The published ViT-S/16 recipe.
  public init() {}
}

// MARK: - Worked out from the keys

extension RunConfiguration {
  /// The name that width, depth and heads go by together.
  public var arch: ArchitectureName {
    ArchitectureName.allCases.first { name in
      name.dimensions.map { $0.embedDim == embedDim && $0.depth == depth && $0.numHeads == numHeads } ?? false
    } ?? .custom
  }

  /// All views of a picture: two global ones, then the local ones.
  public var viewsPerImage: Int { 2 + localCropsNumber }

  /// Slices in a batch.
  public var slicesPerStep: Int { batchSize / sliceSize }

  /// Blocks that the memory is cut into.
  public var blocksInMemory: Int { memorySize / blockSize }

  /// Blocks that a step's loss is taken over, 1...`blocksInMemory`.
  public var blocksUsed: Int { blocksPerStep == 0 ? blocksInMemory : blocksPerStep }

  /// The learning rate that the schedule starts from: `lr` scaled by the batch.
  public var scaledLR: Double { lr * Double(batchSize) / 256 }

  /// Steps in an epoch of `pictures` pictures; the tail of the epoch's order is not used.
  public func stepsPerEpoch(pictures: Int) -> Int { pictures / batchSize }

  /// Steps in so many epochs: whole ones exactly, the rest to the nearest step.
  public func steps(inEpochs epochs: Double, pictures: Int) -> Int {
    let steps = stepsPerEpoch(pictures: pictures)
    let whole = epochs.rounded(.down)
    return Int(whole) * steps + Int(((epochs - whole) * Double(steps)).rounded())
  }

  /// Steps in the run's schedules, at least one, and its end unless `maxSteps` comes first.
  public func scheduledSteps(pictures: Int) -> Int { max(1, steps(inEpochs: epochs, pictures: pictures)) }

  /// Steps in which the learning rate rises.
  public func warmUpSteps(pictures: Int) -> Int {
    warmupSteps ?? steps(inEpochs: warmupEpochs, pictures: pictures)
  }

  /// The step count at which the run is done.
  public func lastStep(pictures: Int) -> Int {
    min(scheduledSteps(pictures: pictures), maxSteps ?? Int.max)
  }
}

// MARK: - Names

/// The sizes that `arch` may name.
public enum ArchitectureName: String, Sendable, CaseIterable {
  case vitTiny = "vit_tiny"
  case vitSmall = "vit_small"
  case vitBase = "vit_base"
  case vitLarge = "vit_large"
  /// DeiT's networks are the ViTs of the same names; a configuration is written with the ViT's.
  case deitTiny = "deit_tiny"
  case deitSmall = "deit_small"
  case deitBase = "deit_base"
  case custom

  /// Width, depth and heads; nil for `custom`.
  public var dimensions: (embedDim: Int, depth: Int, numHeads: Int)? {
    switch self {
    case .vitTiny, .deitTiny: (192, 12, 3)
    case .vitSmall, .deitSmall: (384, 12, 6)
    case .vitBase, .deitBase: (768, 12, 12)
    case .vitLarge: (1024, 24, 16)
    case .custom: nil
    }
  }
}

/// Which processors' rounding a run has, by the name it has in a recipe.
public enum ComputeClassName: String, Sendable, CaseIterable {
  /// The best of the machine that starts the run. A run that exists has one of the others.
  case auto
  case avx2, avx512
  case avx512BF16 = "avx512_bf16"
  case amx, neon
}

/// What products multiply, by the name it has in a recipe.
public enum PrecisionName: String, Sendable, CaseIterable {
  case fp32
  /// bfloat16; everything else is fp32.
  case bf16
}

public enum OptimizerName: String, Sendable, CaseIterable {
  case adamw, sgd, lars
}

/// How memory rows are stored and sent.
public enum MemoryDtypeName: String, Sendable, CaseIterable {
  case fp32, fp16
}

/// What to do about steps with results that nobody compared, of a host whose results turned out wrong.
public enum AuditAction: String, Sendable, CaseIterable {
  /// Go back to before them.
  case rollback
  /// Go on, and name them.
  case report
}

/// When workers fetch each step's weights from each other.
public enum WeightExchange: String, Sendable, CaseIterable {
  /// When it is faster, by what payloads take.
  case automatic
  /// Where two hosts can.
  case always
  case never
}

/// The least severe message that is written to the log.
public enum LogLevelName: String, Sendable, CaseIterable {
  case debug, info, warning, error
}
