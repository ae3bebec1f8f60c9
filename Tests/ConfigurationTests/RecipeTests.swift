import Configuration
import Foundation
import Testing

/// Recipes and flags become the configuration that they say, or a sentence that says why not.
struct RecipeTests {
  static let folder = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appending(path: "Recipes")

  static func recipe(_ name: String) throws -> RunConfiguration {
    try RunConfiguration(layers: [ConfigurationLayer(recipeAt: folder.appending(path: name).path)])
  }

  @Test func everyCommittedRecipeIsReadAndHoldsTogetherWithoutWarnings() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path).filter { $0.hasSuffix(".yaml") }
    #expect(
      Set(names).isSuperset(of: ["vit_small_imagenet.yaml", "vit_base_imagenet.yaml", "cifar10.yaml", "demo.yaml"]))
    for name in names { #expect(try Self.recipe(name).warnings().isEmpty, "\(name)") }
  }

  @Test func defaultsAreThePublishedSmallRecipe() throws {
    #expect(try Self.recipe("vit_small_imagenet.yaml") == RunConfiguration())
  }

  @Test func publishedBaseRecipeDiffersInTheseKeysOnly() throws {
    let differences = try Self.recipe("vit_base_imagenet.yaml").differences(from: RunConfiguration())
    #expect(
      differences.map { "\($0.name) \($0.given)" } == [
        "arch vit_base", "embed_dim 768", "num_heads 12", "epochs 400", "lr 0.00075", "min_lr 2e-06",
        "warmup_epochs 10", "momentum_teacher 0.996", "warmup_teacher_temp_epochs 50",
      ])
  }

  @Test func cifarRecipeIsTheOneThatItsFiguresAreFor() throws {
    let recipe = try Self.recipe("cifar10.yaml")
    #expect((recipe.embedDim, recipe.depth, recipe.numHeads, recipe.patchSize) == (128, 4, 4, 8))
    #expect((recipe.imageSize, recipe.localSize, recipe.localCropsNumber) == (32, 16, 4))
    #expect([recipe.blurProbabilityView0, recipe.blurProbabilityView1, recipe.blurProbabilityLocal] == [0, 0, 0])
    #expect(recipe.solarizeProbability == 0.2)
    #expect(recipe.globalCropsScale == 0.4...1.0 && recipe.localCropsScale == 0.15...0.5)
    #expect(recipe.headHiddenDim == 512 && recipe.bottleneckDim == 128 && recipe.useBNInHead)
    #expect((recipe.memorySize, recipe.blockSize, recipe.batchSize, recipe.sliceSize) == (4096, 1024, 64, 32))
    #expect(recipe.optimizer == .adamw && recipe.lr == 4e-3 && recipe.scaledLR == 1e-3)
    #expect((recipe.weightDecay, recipe.weightDecayEnd, recipe.momentumTeacher) == (0.04, 0.4, 0.99))
    #expect((recipe.teacherTemp, recipe.warmupTeacherTemp, recipe.epochs) == (0.04, 0.04, 5))
  }

  @Test func writtenConfigurationReadsBackEqual() throws {
    var configuration = try Self.recipe("cifar10.yaml")
    configuration.maxSteps = 30
    configuration.seed = 9_223_372_036_854_775_807
    configuration.cropAspectRatio = (1.0 / 3.0)...3.0
    configuration.listen = "tcp://*:0"
    let text = configuration.yaml()
    #expect(try RunConfiguration(layers: [ConfigurationLayer(recipe: text, file: "config.yaml")]) == configuration)
    #expect(text.split(separator: "\n").count == ConfigurationKey.all.count)
    // JSON is YAML too.
    let json = configuration.json()
    #expect(try RunConfiguration(layers: [ConfigurationLayer(recipe: json, file: "json")]) == configuration)
    #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(json.utf8)) }
  }

  @Test func flagsWinOverRecipesAndRecipesOverDefaults() throws {
    let recipe = try ConfigurationLayer(recipe: "batch_size: 64\nslice_size: 4\nlr: 1e-3", file: "r.yaml")
    let flags = try ConfigurationLayer(flags: [("batch-size", "32"), ("global-crops-scale", "0.2,0.9")])
    let merged = try RunConfiguration(layers: [recipe, flags])
    #expect(merged.batchSize == 32)
    #expect(merged.sliceSize == 4)
    #expect(merged.lr == 1e-3)
    #expect(merged.globalCropsScale == 0.2...0.9)
    #expect(merged.epochs == 800)
  }

  @Test func emptyRecipeIsTheDefaults() throws {
    #expect(try RunConfiguration(layers: [ConfigurationLayer(recipe: "# nothing\n", file: "r")]) == RunConfiguration())
  }
}

/// Architectures are named, or described by three numbers, and never both differently.
struct ArchitectureTests {
  static func merged(_ recipe: String, _ flags: (String, String)...) throws -> RunConfiguration {
    try RunConfiguration(layers: [
      ConfigurationLayer(recipe: recipe, file: "r.yaml"), ConfigurationLayer(flags: flags.map { ($0.0, $0.1) }),
    ])
  }

  @Test(arguments: [
    ("vit_tiny", 192, 12, 3), ("vit_small", 384, 12, 6), ("vit_base", 768, 12, 12), ("vit_large", 1024, 24, 16),
  ])
  func nameGivesTheSizes(name: String, width: Int, depth: Int, heads: Int) throws {
    let configuration = try Self.merged("arch: \(name)")
    #expect((configuration.embedDim, configuration.depth, configuration.numHeads) == (width, depth, heads))
    #expect(configuration.arch.rawValue == name)
  }

  /// DeiT's are the same networks; what is written of a run has one name for each.
  @Test(arguments: ["tiny", "small", "base"]) func deitIsTheViTThatItIs(size: String) throws {
    let configuration = try Self.merged("arch: deit_\(size)")
    #expect(try configuration == Self.merged("arch: vit_\(size)"))
    #expect(configuration.arch.rawValue == "vit_\(size)" && configuration.patchSize == 16)
  }

  @Test func layerScaleBelowAFloatsRangeIsRefused() {
    expectSentences("layer_scale 1e-50 is too small for a float. Give 0 for none, or a number such as 1e-5.") {
      try Self.merged("layer_scale: 1e-50")
    }
  }

  @Test func sizesWithoutNameMakeACustomOne() throws {
    let configuration = try Self.merged("embed_dim: 192\ndepth: 4", ("num-heads", "3"))
    #expect((configuration.embedDim, configuration.depth, configuration.numHeads) == (192, 4, 3))
    #expect(configuration.arch == .custom)
  }

  @Test func namedFlagReplacesTheRecipesSizes() throws {
    let configuration = try Self.merged("arch: custom\nembed_dim: 96\ndepth: 4\nnum_heads: 3", ("arch", "vit_base"))
    #expect((configuration.embedDim, configuration.depth, configuration.numHeads) == (768, 12, 12))
  }

  @Test func nameAndOtherSizeContradict() {
    expectSentences("depth 4 contradicts arch vit_small, whose depth is 12. Give arch custom.") {
      try Self.merged("arch: vit_small", ("depth", "4"))
    }
  }

  @Test func customNeedsAllSizes() {
    expectSentences("arch custom needs depth, num_heads as well.") {
      try Self.merged("arch: custom\nembed_dim: 384")
    }
  }
}

/// Expects `body` to throw a `ConfigurationError` of that description.
func expectSentences(_ sentences: String, _ body: () throws -> RunConfiguration) {
  #expect {
    _ = try body()
  } throws: { error in
    let matches = (error as? ConfigurationError)?.lines.joined(separator: "\n") == sentences
    if !matches { Issue.record("said: \(error)") }
    return error is ConfigurationError && matches
  }
}
