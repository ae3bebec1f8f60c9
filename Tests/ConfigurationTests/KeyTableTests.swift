import Configuration
import Testing

/// The table holds every property once, and every default passes its own key's check.
struct KeyTableTests {
  @Test func everyPropertyHasItsKey() {
    let properties = Mirror(reflecting: RunConfiguration()).children.compactMap(\.label)
    let keys = ConfigurationKey.all.map { $0.name.filter { $0 != "_" } }
    #expect(Set(keys).count == keys.count)
    // `arch` is worked out from the three sizes.
    #expect(Set(keys) == Set(properties.map { $0.lowercased() } + ["arch"]))
  }

  @Test func defaultsPassTheirOwnChecks() throws {
    let flags = ConfigurationKey.all.map { (name: $0.flag, text: $0.defaultValue.description) }
    #expect(try RunConfiguration(layers: [ConfigurationLayer(flags: flags)]) == RunConfiguration())
  }

  @Test func everyKeyReadsBackWhatIsWrittenToItAlone() throws {
    let others = [
      "arch": "vit_tiny", "listen": "tcp://0.0.0.0:1", "optimizer": "sgd", "compute_class": "neon", "precision": "bf16",
      "log_level": "debug", "max_steps": "7", "warmup_steps": "7", "memory_dtype": "fp16",
      "audit_action": "report", "exchange": "never",
    ]
    for key in ConfigurationKey.all where !["arch", "embed_dim", "depth", "num_heads"].contains(key.name) {
      let text =
        switch key.defaultValue {
        case .integer(let value): "\(value + 1)"
        case .number(let value), .amount(let value): value > 0 ? "\(value / 2)" : "0.25"
        case .flag(let value): "\(!value)"
        case .numbers(let values): values.map { "\($0 / 2)" }.joined(separator: ",")
        case .text, .none: others[key.name] ?? ""
        }
      let layer = try ConfigurationLayer(flags: [(key.flag, text)])
      var changed = RunConfiguration()
      changed.apply(layer)
      #expect(changed.differences(from: RunConfiguration()).map(\.name) == [key.name], "\(key.name)")
    }
  }

  /// In steps, where a pass over the pictures takes weeks: it counts in place of `warmup_epochs`.
  @Test func aWarmUpMayBeGivenInSteps() throws {
    func steps(_ assignments: String...) throws -> Int {
      let layer = try ConfigurationLayer(assignments: ["batch_size=100", "slice_size=4"] + assignments)
      return try RunConfiguration(layers: [layer]).warmUpSteps(pictures: 1000)
    }
    #expect(try steps("warmup_epochs=2") == 20)
    #expect(try steps("warmup_epochs=2", "warmup_steps=7") == 7)
    #expect(try steps("warmup_epochs=2", "warmup_steps=0") == 0)
    #expect(try steps("warmup_epochs=2", "warmup_steps=null") == 20)
    // What it stands for is then not judged either.
    #expect(try steps("warmup_epochs=900", "warmup_steps=7") == 7)
    #expect(throws: ConfigurationError.self) { try steps("warmup_steps=-1") }
  }

  /// Epochs may be a part of one. Whole ones are written as they always were: recipes and digests of them stay.
  @Test func epochsTakeFractions() throws {
    let keys = ["epochs", "warmup_epochs", "warmup_teacher_temp_epochs"]
    let whole = keys.map { "\($0): 5\n" }.joined()
    let text = try RunConfiguration(layers: [ConfigurationLayer(recipe: whole, file: "r")]).yaml()
    for key in keys { #expect(text.contains("\n\(key): 5\n"), "\(key)") }
    for (name, text) in [("epochs", "0.1"), ("warmup_epochs", "0.05"), ("warmup_teacher_temp_epochs", "2.5")] {
      let others = keys.filter { $0 != name }.map { (name: $0, text: $0 == "epochs" ? "3" : "0") }
      let flags = try ConfigurationLayer(flags: others + [(name, text)])
      let configuration = try RunConfiguration(layers: [flags])
      #expect(configuration.yaml().contains("\n\(name): \(text)\n"))
      let read = try ConfigurationLayer(recipe: configuration.yaml(), file: "r")
      #expect(try RunConfiguration(layers: [read]) == configuration)
    }
    #expect(throws: ConfigurationError.self) { try ConfigurationLayer(assignments: ["epochs=0"]) }
    #expect(throws: ConfigurationError.self) { try ConfigurationLayer(assignments: ["epochs=nan"]) }
    #expect(throws: ConfigurationError.self) {
      try RunConfiguration(layers: [ConfigurationLayer(assignments: ["epochs=0.1", "warmup_epochs=0.2"])])
    }
  }

  @Test func differencesNameKindAndBothValues() throws {
    let given = try RunConfiguration().changed(by: [
      ConfigurationLayer(assignments: ["lr=0.001", "batch_size=64", "keep_checkpoints=9"])
    ])
    let differences = given.differences(from: RunConfiguration())
    #expect(differences.map(\.kind) == [.identity, .trajectory, .operational])
    #expect(
      differences.map(\.description) == [
        "batch_size: saved 128, given 64", "lr: saved 0.0005, given 0.001", "keep_checkpoints: saved 3, given 9",
      ])
  }

  @Test func helpIsOneShortLine() {
    for key in ConfigurationKey.all { #expect(key.help.count <= 72 && !key.help.contains("\n"), "\(key.name)") }
  }

  @Test(arguments: [
    ("batchsize", "batch_size"), ("btach_size", "batch_size"), ("LR", "lr"), ("learning_rate", nil),
    ("local-crop-number", "local_crops_number"), ("", nil), ("l", "lr"),
  ])
  func nearestIsWhatWasMeant(typed: String, meant: String?) {
    #expect(nearestName(to: typed, among: ConfigurationKey.all.map(\.name)) == meant)
  }
}
