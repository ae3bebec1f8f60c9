/// A setting of a run: what it is called, what it may be, when it may change, and where its value is kept.
///
/// `ConfigurationKey.all` is the one table of them. Recipes, flags, `config.yaml`, help texts and the checks of a
/// resume are all made from it.
public struct ConfigurationKey: Sendable {
  /// As in a recipe: `batch_size`.
  public let name: String
  public let kind: Kind
  /// What it may be.
  public let domain: Domain
  /// One line for `--help`.
  public let help: String
  private let read: @Sendable (RunConfiguration) -> ConfigurationValue
  private let write: @Sendable (inout RunConfiguration, ConfigurationValue) -> Void

  /// When a key may change.
  public enum Kind: String, Sendable, CaseIterable {
    /// Never: a resume that changes it is refused.
    case identity
    /// When it is asked for by name, from the next checkpoint on.
    case trajectory
    /// At any start; no bit of a step depends on it.
    case operational
  }

  private init(
    _ name: String, _ kind: Kind, _ domain: Domain, _ help: String,
    read: @escaping @Sendable (RunConfiguration) -> ConfigurationValue,
    write: @escaping @Sendable (inout RunConfiguration, ConfigurationValue) -> Void
  ) {
    self.name = name
    self.kind = kind
    self.domain = domain
    self.help = help
    self.read = read
    self.write = write
  }
}

// MARK: - Reading and writing

extension ConfigurationKey {
  /// As on the command line, without the dashes before it: `batch-size`.
  public var flag: String { String(name.map { $0 == "_" ? "-" : $0 }) }

  public var defaultValue: ConfigurationValue { read(RunConfiguration()) }

  public func value(in configuration: RunConfiguration) -> ConfigurationValue { read(configuration) }

  /// Sets the key. `value` comes from `domain.parse`, so that it is of the right kind and within its range.
  func set(_ value: ConfigurationValue, in configuration: inout RunConfiguration) { write(&configuration, value) }

  /// The key of that name, written with underscores or dashes.
  public static func named(_ name: String) -> ConfigurationKey? {
    byName[String(name.map { $0 == "-" ? "_" : $0 })]
  }

  private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
}

// MARK: - The table

extension ConfigurationKey {
  /// All keys, in the order in which recipes and help texts list them.
  public static let all: [ConfigurationKey] = architecture + views + batch + schedule + objective + operation

  private static let architecture: [ConfigurationKey] = [
    ConfigurationKey(
      "arch", .identity, .choice(ArchitectureName.allCases.map(\.rawValue)),
      "backbone by name; custom: embed_dim, depth, num_heads say its size",
      read: { .text($0.arch.rawValue) },
      write: { configuration, value in
        guard let dimensions = ArchitectureName(rawValue: value.text)?.dimensions else { return }
        configuration.embedDim = dimensions.embedDim
        configuration.depth = dimensions.depth
        configuration.numHeads = dimensions.numHeads
      }),
    integer("embed_dim", .identity, \.embedDim, 1...65536, "width of the backbone"),
    integer("depth", .identity, \.depth, 1...1000, "transformer blocks of the backbone"),
    integer("num_heads", .identity, \.numHeads, 1...1024, "attention heads; divides embed_dim"),
    integer("patch_size", .identity, \.patchSize, 1...1024, "side of a patch in pixels"),
    integer("head_hidden_dim", .identity, \.headHiddenDim, 1...65536, "hidden width of the projection head"),
    integer("bottleneck_dim", .identity, \.bottleneckDim, 1...65536, "width of an embedding and of a memory row"),
    flag("use_bn_in_head", .identity, \.useBNInHead, "batch normalisation in the head, over a slice's embeddings"),
    flag("use_mean_pooling", .identity, \.useMeanPooling, "mean of the patch tokens instead of the class token"),
    integer("registers", .identity, \.registers, 0...1024, "register tokens behind the class token; 0: none"),
    number("layer_scale", .identity, \.layerScale, .from(0, to: 100), "LayerScale's factors at the start; 0: none"),
    number("drop_path_rate", .identity, \.dropPathRate, .from(0, below: 1), "stochastic depth of the last block"),
  ]

  private static let views: [ConfigurationKey] = [
    flag("exif_orientation", .identity, \.exifOrientation, "turn pictures upright as their EXIF data say"),
    integer("image_size", .identity, \.imageSize, 1...4096, "side of a global view in pixels"),
    integer("local_size", .identity, \.localSize, 1...4096, "side of a local view in pixels"),
    integer("local_crops_number", .identity, \.localCropsNumber, 0...256, "local views of each picture"),
    integer(
      "local_views_per_group", .identity, \.localViewsPerGroup, 1...256,
      "local views that pass the student together; fewer need less memory"),
    interval(
      "global_crops_scale", .identity, \.globalCropsScale, .above(0, to: 1), "share of the area in a global view"),
    interval(
      "local_crops_scale", .identity, \.localCropsScale, .above(0, to: 1), "share of the area in a local view"),
    interval("crop_aspect_ratio", .identity, \.cropAspectRatio, .above(0, to: 100), "width over height of a crop"),
    number("flip_probability", .identity, \.flipProbability, .probability, "horizontal flip"),
    number("color_jitter_probability", .identity, \.colorJitterProbability, .probability, "colour jitter"),
    number("brightness", .identity, \.brightness, .probability, "largest change of brightness by colour jitter"),
    number("contrast", .identity, \.contrast, .probability, "largest change of contrast by colour jitter"),
    number("saturation", .identity, \.saturation, .probability, "largest change of saturation by colour jitter"),
    number("hue", .identity, \.hue, .from(0, to: 0.5), "largest turn of the hue by colour jitter, in turns"),
    number("grayscale_probability", .identity, \.grayscaleProbability, .probability, "grey instead of colour"),
    number("blur_probability_view_0", .identity, \.blurProbabilityView0, .probability, "blur of the first global view"),
    number(
      "blur_probability_view_1", .identity, \.blurProbabilityView1, .probability, "blur of the second global view"),
    number("blur_probability_local", .identity, \.blurProbabilityLocal, .probability, "blur of a local view"),
    interval("blur_sigma", .identity, \.blurSigma, .above(0, to: 100), "standard deviation of the blur in pixels"),
    number("solarize_probability", .identity, \.solarizeProbability, .probability, "solarize the second global view"),
    integer("solarize_threshold", .identity, \.solarizeThreshold, 0...256, "levels from here up are inverted"),
    triple("normalization_mean", .identity, \.normalizationMean, .from(-10, to: 10), "mean of red, green, blue"),
    triple("normalization_std", .identity, \.normalizationStd, .above(0, to: 10), "deviation of red, green, blue"),
  ]

  private static let batch: [ConfigurationKey] = [
    integer("batch_size", .identity, \.batchSize, 1...1_048_576, "pictures in a step, over all workers together"),
    integer("slice_size", .identity, \.sliceSize, 1...65536, "pictures that one thread computes at once"),
    ConfigurationKey(
      "seed", .identity, .integer(0...Int.max), "keys every random number of the run",
      read: { .integer(Int($0.seed)) }, write: { $0.seed = UInt64($1.integer) }),
    choice("precision", .identity, \.precision, "what products multiply; sums, and all else, are fp32"),
    choice(
      "compute_class", .identity, \.computeClass, "whose rounding the run has; auto: best of where it starts"),
  ]

  private static let schedule: [ConfigurationKey] = [
    amount("epochs", .trajectory, \.epochs, .above(0, to: 1e6), "passes over the data set; 0.1 is a tenth of one"),
    ConfigurationKey(
      "max_steps", .operational, .optionalInteger(1...Int.max), "stop after that many steps; schedules keep to epochs",
      read: { $0.maxSteps.map { .integer($0) } ?? .none },
      write: { configuration, value in
        configuration.maxSteps = if case .integer(let steps) = value { steps } else { nil }
      }),
    choice("optimizer", .identity, \.optimizer, "which update rule"),
    number("lr", .trajectory, \.lr, .above(0, to: 1e6), "learning rate for 256 pictures a batch; scaled by the batch"),
    number("min_lr", .trajectory, \.minLR, .from(0, to: 1e6), "learning rate at the end, not scaled"),
    amount("warmup_epochs", .trajectory, \.warmupEpochs, .from(0, to: 1e6), "epochs in which the learning rate rises"),
    ConfigurationKey(
      "warmup_steps", .trajectory, .optionalInteger(0...Int.max),
      "steps in which the learning rate rises, in place of warmup_epochs",
      read: { $0.warmupSteps.map { .integer($0) } ?? .none },
      write: { configuration, value in
        configuration.warmupSteps = if case .integer(let steps) = value { steps } else { nil }
      }),
    number("weight_decay", .trajectory, \.weightDecay, .from(0, to: 100), "weight decay at the beginning"),
    number("weight_decay_end", .trajectory, \.weightDecayEnd, .from(0, to: 100), "weight decay at the end"),
    number("momentum_teacher", .trajectory, \.momentumTeacher, .probability, "teacher's momentum; rises to 1"),
    number("clip_grad", .trajectory, \.clipGrad, .from(0, to: 1e6), "largest norm of a tensor's gradient; 0: no limit"),
  ]

  private static let objective: [ConfigurationKey] = [
    number("student_temp", .trajectory, \.studentTemp, .above(0, to: 100), "student's temperature"),
    number("teacher_temp", .trajectory, \.teacherTemp, .above(0, to: 100), "teacher's temperature after its warm-up"),
    number(
      "warmup_teacher_temp", .trajectory, \.warmupTeacherTemp, .above(0, to: 100), "teacher's temperature at first"),
    amount(
      "warmup_teacher_temp_epochs", .trajectory, \.warmupTeacherTempEpochs, .from(0, to: 1e6),
      "epochs in which the teacher's temperature rises"),
    number("koleo_weight", .trajectory, \.koleoWeight, .from(0, to: 1e6), "weight of the KoLeo term; 0: none"),
    integer("memory_size", .trajectory, \.memorySize, 1...(1 << 40), "rows in the memory (out_dim of the reference)"),
    integer(
      "block_size", .trajectory, \.blockSize, 1...(1 << 24), "rows in a block (partition_size of the reference)"),
    integer("blocks_per_step", .trajectory, \.blocksPerStep, 0...(1 << 40), "blocks in a step's loss; 0: all"),
    choice("memory_dtype", .identity, \.memoryDtype, "how rows are stored and sent; fp16 halves both"),
    integer(
      "memory_granule", .identity, \.memoryGranule, 1...(1 << 20),
      "neighbouring rows drawn together; divides block_size"),
    integer("extent_rows", .identity, \.extentRows, 0...(1 << 20), "rows in a file of the memory; 0: 64 MiB of them"),
  ]

  private static let operation: [ConfigurationKey] = [
    integer(
      "checkpoint_every_steps", .operational, \.checkpointEverySteps, 0...Int.max,
      "steps between checkpoints; 0: by the clock alone"),
    number(
      "checkpoint_every_minutes", .operational, \.checkpointEveryMinutes, .from(0, to: 1e6),
      "minutes between checkpoints, less at first; 0: by steps alone"),
    integer("keep_checkpoints", .operational, \.keepCheckpoints, 1...1_000_000, "newest checkpoints kept"),
    integer(
      "keep_every_steps", .operational, \.keepEverySteps, 0...Int.max,
      "first checkpoint of every so many steps is kept for good; 0: none"),
    flag(
      "keep_memory", .operational, \.keepMemory, "checkpoints kept for good keep their memory rows, not weights only"),
    integer(
      "evaluate_every_steps", .operational, \.evaluateEverySteps, 0...Int.max,
      "steps between judgements of the teacher's features; 0: none"),
    integer(
      "evaluate_images", .operational, \.evaluateImages, 16...16_384, "pictures that the features are judged by"),
    number(
      "audit_rate", .operational, \.auditRate, .probability, "share of the leases that are computed twice and compared"),
    choice("audit_action", .operational, \.auditAction, "what to do about the earlier steps of a host found wrong"),
    choice(
      "exchange", .operational, \.exchange, "when workers exchange weights and gradients; automatic: when faster"),
    number(
      "grace", .operational, \.grace, .above(0, to: 1e6), "seconds for the last checkpoint when told to leave"),
    integer("memory_replicas", .operational, \.memoryReplicas, 1...64, "shards that hold each file of the memory"),
    integer(
      "memory_copy_rate", .operational, \.memoryCopyRate, 0...(1 << 40),
      "bytes a second that a shard copies in the background; 0: no bound"),
    ConfigurationKey(
      "listen", .operational, .endpoint, "where the coordinator listens, tcp://HOST:PORT; port 0: any free one",
      read: { .text($0.listen) }, write: { $0.listen = $1.text }),
    choice("log_level", .operational, \.logLevel, "least severe message in the log"),
  ]
}

// MARK: - Rows of the table

extension ConfigurationKey {
  private typealias Path<Value> = WritableKeyPath<RunConfiguration, Value> & Sendable

  private static func integer(
    _ name: String, _ kind: Kind, _ path: Path<Int>, _ range: ClosedRange<Int>, _ help: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name, kind, .integer(range), help,
      read: { .integer($0[keyPath: path]) }, write: { $0[keyPath: path] = $1.integer })
  }

  private static func number(
    _ name: String, _ kind: Kind, _ path: Path<Double>, _ range: NumberRange, _ help: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name, kind, .number(range), help,
      read: { .number($0[keyPath: path]) }, write: { $0[keyPath: path] = $1.number })
  }

  private static func amount(
    _ name: String, _ kind: Kind, _ path: Path<Double>, _ range: NumberRange, _ help: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name, kind, .amount(range), help,
      read: { .amount($0[keyPath: path]) }, write: { $0[keyPath: path] = $1.amount })
  }

  private static func flag(_ name: String, _ kind: Kind, _ path: Path<Bool>, _ help: String) -> ConfigurationKey {
    ConfigurationKey(
      name, kind, .flag, help,
      read: { .flag($0[keyPath: path]) }, write: { $0[keyPath: path] = $1.flag })
  }

  private static func interval(
    _ name: String, _ kind: Kind, _ path: Path<ClosedRange<Double>>, _ range: NumberRange, _ help: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name, kind, .interval(range), help,
      read: { .numbers([$0[keyPath: path].lowerBound, $0[keyPath: path].upperBound]) },
      write: { $0[keyPath: path] = $1.numbers[0]...$1.numbers[1] })
  }

  private static func triple(
    _ name: String, _ kind: Kind, _ path: Path<[Double]>, _ range: NumberRange, _ help: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name, kind, .triple(range), help,
      read: { .numbers($0[keyPath: path]) }, write: { $0[keyPath: path] = $1.numbers })
  }

  private static func choice<Name: RawRepresentable<String> & CaseIterable & SendableMetatype>(
    _ name: String, _ kind: Kind, _ path: Path<Name>, _ help: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name, kind, .choice(Name.allCases.map(\.rawValue)), help,
      read: { .text($0[keyPath: path].rawValue) },
      write: { configuration, value in
        guard let name = Name(rawValue: value.text) else { return }
        configuration[keyPath: path] = name
      })
  }
}
