import ArgumentParser
import Checkpoints

/// Whose features are judged, and where they are kept: what every evaluation asks for.
package struct EvaluationOptions: ParsableArguments {
  @OptionGroup package var network: FrozenNetworkOptions

  @Option(
    help: ArgumentHelp(
      "Keep features here for the next evaluation. Default: evaluations/ in the --run directory; --weights keeps none.",
      valueName: "folder"))
  package var cache: String?

  @Flag(help: "Neither read nor keep features.")
  package var noCache = false

  @Flag(help: "One JSON object on standard output.")
  package var json = false

  package init() {}

  package func validate() throws {
    if noCache, cache != nil { throw ValidationError("Give either --cache or --no-cache.") }
  }

  /// Where features are kept; nil: nowhere.
  package var cacheFolder: String? {
    noCache ? nil : cache ?? network.runDirectory.map { "\($0)/\(RunDirectory.evaluationsFolder)" }
  }
}

/// Two folders of pictures with classes: what is learned from, and what is asked.
package struct LabelledFolders: ParsableArguments {
  @Option(help: ArgumentHelp("Pictures whose classes are known: a folder per class, or tars.", valueName: "pictures"))
  package var train: String

  @Option(help: ArgumentHelp("The pictures to classify, the same classes.", valueName: "pictures"))
  package var test: String

  @Option(help: ArgumentHelp("Use every n-th picture of --train.", valueName: "n"))
  package var trainEvery = 1

  @Option(help: ArgumentHelp("Use every n-th picture of --test.", valueName: "n"))
  package var testEvery = 1

  package init() {}

  package func validate() throws {
    try requirePositive(trainEvery, "--train-every")
    try requirePositive(testEvery, "--test-every")
  }
}

/// Keys of the configuration that say which network a file is of.
package struct BackboneFlags: ParsableArguments {
  @Option(key: "arch", showsDefault: false) package var arch: String?
  @Option(key: "embed_dim", showsDefault: false) package var embedDim: String?
  @Option(key: "depth", showsDefault: false) package var depth: String?
  @Option(key: "num_heads", showsDefault: false) package var numHeads: String?
  @Option(key: "patch_size", showsDefault: false) package var patchSize: String?
  @Option(key: "use_mean_pooling", showsDefault: false) package var useMeanPooling: String?
  @Option(key: "image_size", showsDefault: false) package var imageSize: String?
  @Option(key: "exif_orientation", showsDefault: false) package var exifOrientation: String?

  package init() {}

  /// The flags that were given.
  package var given: [(name: String, text: String)] {
    [
      ("arch", arch), ("embed-dim", embedDim), ("depth", depth), ("num-heads", numHeads), ("patch-size", patchSize),
      ("use-mean-pooling", useMeanPooling), ("image-size", imageSize),
      ("exif-orientation", exifOrientation),
    ].compactMap { name, text in text.map { (name, $0) } }
  }
}
