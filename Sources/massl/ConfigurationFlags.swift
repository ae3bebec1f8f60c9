import ArgumentParser
import Configuration

/// Every configuration key as a flag, a line each: `batch_size` is `--batch-size`. But `listen`, which only a coordinator
/// that others start workers for has a use for: it is that command's own.
///
/// Name, help, allowed values and default come from `ConfigurationKey.all`; the property says only that the flag
/// exists, for the parser finds flags by their properties. A test holds the two lists together. Values stay text
/// here, and `ConfigurationLayer` reads them as it reads a recipe's, so that both refuse the same in the same words.
package struct ConfigurationFlags: ParsableArguments {
  @Option(key: "arch") package var arch: String?
  @Option(key: "embed_dim") package var embedDim: String?
  @Option(key: "depth") package var depth: String?
  @Option(key: "num_heads") package var numHeads: String?
  @Option(key: "patch_size") package var patchSize: String?
  @Option(key: "head_hidden_dim") package var headHiddenDim: String?
  @Option(key: "bottleneck_dim") package var bottleneckDim: String?
  @Option(key: "use_bn_in_head") package var useBNInHead: String?
  @Option(key: "use_mean_pooling") package var useMeanPooling: String?
  @Option(key: "registers") package var registers: String?
  @Option(key: "layer_scale") package var layerScale: String?
  @Option(key: "drop_path_rate") package var dropPathRate: String?
  @Option(key: "exif_orientation") package var exifOrientation: String?
  @Option(key: "image_size") package var imageSize: String?
  @Option(key: "local_size") package var localSize: String?
  @Option(key: "local_crops_number") package var localCropsNumber: String?
  @Option(key: "local_views_per_group") package var localViewsPerGroup: String?
  @Option(key: "global_crops_scale") package var globalCropsScale: String?
  @Option(key: "local_crops_scale") package var localCropsScale: String?
  @Option(key: "crop_aspect_ratio") package var cropAspectRatio: String?
  @Option(key: "flip_probability") package var flipProbability: String?
  @Option(key: "color_jitter_probability") package var colorJitterProbability: String?
  @Option(key: "brightness") package var brightness: String?
  @Option(key: "contrast") package var contrast: String?
  @Option(key: "saturation") package var saturation: String?
  @Option(key: "hue") package var hue: String?
  @Option(key: "grayscale_probability") package var grayscaleProbability: String?
  @Option(key: "blur_probability_view_0") package var blurProbabilityView0: String?
  @Option(key: "blur_probability_view_1") package var blurProbabilityView1: String?
  @Option(key: "blur_probability_local") package var blurProbabilityLocal: String?
  @Option(key: "blur_sigma") package var blurSigma: String?
  @Option(key: "solarize_probability") package var solarizeProbability: String?
  @Option(key: "solarize_threshold") package var solarizeThreshold: String?
  @Option(key: "normalization_mean") package var normalizationMean: String?
  @Option(key: "normalization_std") package var normalizationStd: String?
  @Option(key: "batch_size") package var batchSize: String?
  @Option(key: "slice_size") package var sliceSize: String?
  @Option(key: "seed") package var seed: String?
  @Option(key: "precision") package var precision: String?
  @Option(key: "compute_class") package var computeClass: String?
  @Option(key: "epochs") package var epochs: String?
  @Option(key: "max_steps") package var maxSteps: String?
  @Option(key: "optimizer") package var optimizer: String?
  @Option(key: "lr") package var lr: String?
  @Option(key: "min_lr") package var minLR: String?
  @Option(key: "warmup_epochs") package var warmupEpochs: String?
  @Option(key: "warmup_steps") package var warmupSteps: String?
  @Option(key: "weight_decay") package var weightDecay: String?
  @Option(key: "weight_decay_end") package var weightDecayEnd: String?
  @Option(key: "momentum_teacher") package var momentumTeacher: String?
  @Option(key: "clip_grad") package var clipGrad: String?
  @Option(key: "student_temp") package var studentTemp: String?
  @Option(key: "teacher_temp") package var teacherTemp: String?
  @Option(key: "warmup_teacher_temp") package var warmupTeacherTemp: String?
  @Option(key: "warmup_teacher_temp_epochs") package var warmupTeacherTempEpochs: String?
  @Option(key: "koleo_weight") package var koleoWeight: String?
  @Option(key: "memory_size") package var memorySize: String?
  @Option(key: "block_size") package var blockSize: String?
  @Option(key: "blocks_per_step") package var blocksPerStep: String?
  @Option(key: "memory_dtype") package var memoryDtype: String?
  @Option(key: "memory_granule") package var memoryGranule: String?
  @Option(key: "extent_rows") package var extentRows: String?
  @Option(key: "checkpoint_every_steps") package var checkpointEverySteps: String?
  @Option(key: "checkpoint_every_minutes") package var checkpointEveryMinutes: String?
  @Option(key: "keep_checkpoints") package var keepCheckpoints: String?
  @Option(key: "keep_every_steps") package var keepEverySteps: String?
  @Option(key: "keep_memory") package var keepMemory: String?
  @Option(key: "evaluate_every_steps") package var evaluateEverySteps: String?
  @Option(key: "evaluate_images") package var evaluateImages: String?
  @Option(key: "audit_rate") package var auditRate: String?
  @Option(key: "audit_action") package var auditAction: String?
  @Option(key: "exchange") package var exchange: String?
  @Option(key: "grace") package var grace: String?
  @Option(key: "memory_replicas") package var memoryReplicas: String?
  @Option(key: "memory_copy_rate") package var memoryCopyRate: String?
  @Option(key: "log_level") package var logLevel: String?

  package init() {}
}

// MARK: - As a layer

extension ConfigurationFlags {
  /// The flags that were given, in the order of the properties.
  package var given: [(name: String, text: String)] {
    // The parser itself finds the properties so; a second list by hand would be one more to keep.
    Mirror(reflecting: self).children.compactMap { child in
      guard let option = child.value as? Option<String?>, let text = option.wrappedValue else { return nil }
      return Self.key(ofProperty: child.label ?? "").map { ($0.name, text) }
    }
  }

  private static func key(ofProperty label: String) -> ConfigurationKey? {
    let letters = label.lowercased().filter { $0 != "_" }
    return ConfigurationKey.all.first { $0.name.filter { $0 != "_" } == letters }
  }
}

// MARK: - Rows

extension Option where Value == String? {
  /// A flag that is described by its key's row of the table.
  /// - Parameter showsDefault: false where another value than the key's default stands for one that is not given.
  init(key name: String, showsDefault: Bool = true) {
    guard let key = ConfigurationKey.named(name) else { fatalError("invariant broken: there is no key \(name)") }
    self.init(
      name: .customLong(key.flag),
      help: ArgumentHelp(
        showsDefault ? "\(key.help) (default: \(key.defaultValue))" : "\(key.help)", valueName: key.domain.valueName))
  }
}

extension ConfigurationKey.Domain {
  /// What stands between angle brackets in the help.
  fileprivate var valueName: String {
    switch self {
    case .integer, .optionalInteger: "integer"
    case .number, .amount: "number"
    case .interval: "low,high"
    case .triple: "r,g,b"
    case .flag: "true|false"
    case .choice(let names): names.joined(separator: "|")
    case .endpoint: "address"
    }
  }
}
