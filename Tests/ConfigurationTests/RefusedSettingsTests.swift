import Configuration
import Foundation
import Testing

/// What cannot be used is refused in a sentence that says what, where and what is allowed.
struct RefusedSettingsTests {
  static func read(_ recipe: String) throws -> RunConfiguration {
    try RunConfiguration(layers: [ConfigurationLayer(recipe: recipe, file: "r.yaml")])
  }

  static func flag(_ name: String, _ text: String) throws -> RunConfiguration {
    try RunConfiguration(layers: [ConfigurationLayer(flags: [(name, text)])])
  }

  @Test func unknownKeyOffersTheNearest() {
    expectSentences("There is no key batchsize (r.yaml, line 2). Did you mean batch_size?") {
      try Self.read("epochs: 3\nbatchsize: 4")
    }
    expectSentences("There is no key --momentun-teacher. Did you mean --momentum-teacher?") {
      try Self.flag("momentun-teacher", "0.9")
    }
    expectSentences("There is no key zzz (r.yaml, line 1). 'massl train --help' lists all keys.") {
      try Self.read("zzz: 4")
    }
    expectSentences("There is no key ephocs. Did you mean epochs?") {
      try RunConfiguration(layers: [ConfigurationLayer(assignments: ["ephocs=3"])])
    }
  }

  @Test(arguments: [
    ("batch_size: 6.5", "batch_size must be a whole number from 1 to 1048576, not '6.5' (r.yaml, line 1)."),
    ("batch_size: many", "batch_size must be a whole number from 1 to 1048576, not 'many' (r.yaml, line 1)."),
    ("batch_size: -1", "batch_size must be a whole number from 1 to 1048576, not '-1' (r.yaml, line 1)."),
    ("lr: .nan", "lr must be a number above 0 and at most 1000000, not '.nan' (r.yaml, line 1)."),
    ("lr: nan", "lr must be a number above 0 and at most 1000000, not 'nan' (r.yaml, line 1)."),
    ("hue: 0.6", "hue must be a number from 0 to 0.5, not '0.6' (r.yaml, line 1)."),
    ("drop_path_rate: 1", "drop_path_rate must be a number of at least 0 and below 1, not '1' (r.yaml, line 1)."),
    ("use_bn_in_head: 1", "use_bn_in_head must be true or false, not '1' (r.yaml, line 1)."),
    ("optimizer: adam", "optimizer must be one of adamw, sgd, lars, not 'adam' (r.yaml, line 1)."),
    (
      "arch: vit_huge",
      "arch must be one of vit_tiny, vit_small, vit_base, vit_large, deit_tiny, deit_small, deit_base, custom, not 'vit_huge' (r.yaml, line 1)."
    ),
    ("max_steps: 0", "max_steps must be a whole number of at least 1, or null, not '0' (r.yaml, line 1)."),
    (
      "local_crops_scale: [0.5, 0.1]",
      "local_crops_scale must be two numbers above 0 and at most 1, the smaller first, not '0.5, 0.1' (r.yaml, line 1)."
    ),
    (
      "normalization_std: [0.2, 0, 0.2]",
      "normalization_std must be three numbers above 0 and at most 10, not '0.2, 0, 0.2' (r.yaml, line 1)."
    ),
    ("listen: 5570", "listen must be tcp://HOST:PORT, with a port from 0 to 65535, not '5570' (r.yaml, line 1)."),
    (
      "listen: tcp://0.0.0.0:70000",
      "listen must be tcp://HOST:PORT, with a port from 0 to 65535, not 'tcp://0.0.0.0:70000' (r.yaml, line 1)."
    ),
    ("- epochs", "r.yaml, line 1 is not a recipe: it holds no keys. A recipe is YAML, one 'key: value' a line."),
    (
      "lr: {a: 1}",
      "r.yaml, line 1 is not a recipe: lr holds keys of its own. A recipe is YAML, one 'key: value' a line."
    ),
    ("lr: 1\nlr: 2", "lr is given twice (r.yaml). Keep one."),
    ("lr: 1\n\"l\\x72\": 2", "lr is given twice (r.yaml). Keep one."),
    ("batch-size: 1\nbatch_size: 2", "batch_size is given twice (r.yaml, line 2). Keep one."),
  ])
  func recipeSays(recipe: String, sentence: String) {
    expectSentences(sentence) { try Self.read(recipe) }
  }

  @Test func brokenYAMLNamesItsLine() {
    #expect {
      try Self.read("epochs: 3\nlr: [1, 2\n")
    } throws: { error in
      "\(error)".hasPrefix("r.yaml, line 3 is not a recipe: ")
    }
  }

  @Test(arguments: [
    ("slice_size: 24", "slice_size 24 must divide batch_size 128; 16 or 32 would fit."),
    ("slice_size: 256", "slice_size 256 must divide batch_size 128; 128 would fit."),
    ("block_size: 10000", "block_size 10000 must divide memory_size 131072; 8192 or 16384 would fit."),
    ("memory_granule: 48", "memory_granule 48 must divide block_size 16384; 32 or 64 would fit."),
    ("blocks_per_step: 9", "blocks_per_step 9 is more than the 8 blocks of memory_size 131072. Give 0 for all."),
    ("memory_size: 64\nblock_size: 64", "batch_size 128 is more than memory_size 64, which takes one row a picture."),
    ("embed_dim: 380", "num_heads 6 must divide embed_dim 380; 5 or 10 would fit."),
    ("image_size: 230", "patch_size 16 must divide image_size 230; 224 or 240 would fit."),
    ("local_size: 8", "patch_size 16 must divide local_size 8; 16 would fit."),
    ("warmup_epochs: 801", "warmup_epochs 801 is longer than the run of 800 epochs."),
    ("epochs: 5", "warmup_teacher_temp_epochs 30 is longer than the run of 5 epochs."),
    (
      "koleo_weight: 0.1\nslice_size: 1",
      "koleo_weight 0.1 needs slice_size of at least 2, not 1: KoLeo compares the pictures of a slice."
    ),
    (
      "use_bn_in_head: true\nslice_size: 1",
      "use_bn_in_head needs slice_size of at least 2, not 1: its statistics run over a slice."
    ),
    (
      "slice_size: 24\nwarmup_epochs: 900",
      """
      slice_size 24 must divide batch_size 128; 16 or 32 would fit.
      warmup_epochs 900 is longer than the run of 800 epochs.
      """
    ),
  ])
  func togetherSays(recipe: String, sentences: String) {
    expectSentences(sentences) { try Self.read(recipe) }
  }

  @Test func hugePrimeMemoryIsRefusedAtOnce() {
    expectSentences("block_size 16777216 must divide memory_size 1099511627689; 1 would fit.") {
      try Self.read("memory_size: 1099511627689\nblock_size: 16777216")
    }
  }

  @Test func batchLargerThanTheDataSetIsRefused() throws {
    try RunConfiguration().check(pictures: 128)
    expectSentences("batch_size 128 is larger than the data set of 127 pictures. Give batch_size of at most 127.") {
      try RunConfiguration().check(pictures: 127)
      return RunConfiguration()
    }
  }

  @Test func noisyBatchNormIsWarnedOf() throws {
    let slices = "use_bn_in_head: true\nbatch_size: 64\nslice_size: "
    #expect(try Self.read(slices + "32").warnings().isEmpty)
    #expect(
      try Self.read(slices + "16").warnings() == [
        "use_bn_in_head takes its statistics over slices of 16 pictures; "
          + "with fewer than 32 they are too noisy to train by."
      ])
  }

  /// Each part holds the one before twice: as a key it would be looked at 2^40 times.
  @Test func partsWithNamesAreRefusedBeforeTheyAreUsed() {
    let parts = (1...40).map { "  - &part\($0) [*part\($0 - 1), *part\($0 - 1)]\n" }.joined()
    expectSentences(
      "r.yaml, line 2 is not a recipe: it names a part of itself with '&', which no key needs. "
        + "A recipe is YAML, one 'key: value' a line."
    ) { try Self.read("parts:\n  - &part0 [a, b]\n\(parts)? *part40\n: 1\n") }
    #expect(throws: Never.self) { try Self.read("# R&D, and & alone\nepochs: 30") }
  }

  @Test func deepAndLongRecipesAreRefused() throws {
    for text in ["[", "{", "{a: ", "- ", "? ", "!a "] {
      let deep = String(repeating: text, count: 100_000 / text.utf8.count)
      #expect(throws: ConfigurationError.self, "\(text)") { try Self.read(deep) }
    }
    let long = "epochs: 30\n" + String(repeating: "#", count: ConfigurationLayer.recipeBytesAtMost)
    #expect(throws: ConfigurationError.notARecipe(file: "r.yaml", line: nil, reason: "it is larger than 128 KiB")) {
      try Self.read(long)
    }
    #expect(
      throws: ConfigurationError.unreadable(file: "/dev/zero", reason: "it is larger than 128 KiB, so no recipe")
    ) { try ConfigurationLayer(recipeAt: "/dev/zero") }
  }

  @Test func whatHasNoDivisorNearIsRefusedAtOnce() throws {
    // The largest prime below 2^40.
    let clock = ContinuousClock()
    let passed = clock.measure {
      #expect(throws: ConfigurationError.self) { try Self.read("memory_size: 1099511627689\nblock_size: 16777216") }
    }
    #expect(passed < .seconds(1))
  }

  @Test func aDataSetOfMorePicturesThanThereAreIsRefused() {
    let configuration = RunConfiguration()
    #expect(throws: Never.self) { try configuration.check(pictures: RunConfiguration.picturesAtMost) }
    expectSentences(
      "a data set of 9223372036854775807 pictures is larger than the 1099511627776 there may be."
    ) {
      try configuration.check(pictures: .max)
      return configuration
    }
  }

  @Test func missingAndBinaryRecipesAreNamed() throws {
    expectSentences("Cannot read the recipe nowhere/r.yaml: there is no such file.") {
      try RunConfiguration(layers: [ConfigurationLayer(recipeAt: "nowhere/r.yaml")])
    }
    let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).yaml")
    try Data([0xff, 0xfe, 0xff, 0x00, 0x80]).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    expectSentences("Cannot read the recipe \(file.path): it is not UTF-8 text.") {
      try RunConfiguration(layers: [ConfigurationLayer(recipeAt: file.path)])
    }
  }
}
