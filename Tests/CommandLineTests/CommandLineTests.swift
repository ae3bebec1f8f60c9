import ArgumentParser
import Configuration
import Durability
import Machine
import Numerics
import TestSupport
import Testing
import massl

/// Every key is a flag on the commands that start a run, under the table's name, with the table's help.
struct ConfigurationFlagTests {
  static let place = ["--data", "d", "--run", "r"]

  static func train(_ arguments: String...) throws -> RunConfiguration {
    try RunConfiguration(layers: TrainCommand.parse(place + arguments).settings.layers())
  }

  @Test func flagsAreTheKeys() {
    let flags = Mirror(reflecting: ConfigurationFlags()).children.compactMap { $0.label?.lowercased() }
      .map { $0.filter { $0 != "_" } }
    #expect(flags == ConfigurationKey.all.map(\.name).filter { $0 != "listen" }.map { $0.filter { $0 != "_" } })
  }

  @Test(arguments: ConfigurationKey.all.map(\.name))
  func everyKeyIsTakenByItsOwnFlagAndNoOther(name: String) throws {
    let key = try #require(ConfigurationKey.named(name))
    let value = "\(key.defaultValue)"
    for arguments in [["--\(key.flag)", value], ["--\(key.flag)=\(value)"]] {
      let command = try CoordinatorCommand.parse(Self.place + arguments)
      let given = command.settings.flags.given + (command.listen.map { [("listen", $0)] } ?? [])
      #expect(given.map(\.name) == [key.name] && given.map(\.text) == [value])
    }
  }

  @Test func helpListsEveryKeyWithItsDefault() {
    let (train, coordinator) = (TrainCommand.helpMessage(columns: 1000), CoordinatorCommand.helpMessage(columns: 1000))
    for help in [train, coordinator] {
      for key in ConfigurationKey.all where key.name != "listen" || help == coordinator {
        #expect(help.contains("--\(key.flag) <"), "\(key.name)")
        #expect(help.contains("\(key.help) (default: \(key.defaultValue))"), "\(key.name)")
      }
    }
    #expect(!train.contains("--listen <"), "it would be refused")
  }

  @Test func valuesReachTheConfiguration() throws {
    let configuration = try Self.train(
      "--batch-size", "64", "--slice-size=32", "--use-bn-in-head", "true", "--local-crops-scale", "0.1,0.4",
      "--max-steps", "30")
    #expect((configuration.batchSize, configuration.sliceSize, configuration.maxSteps) == (64, 32, 30))
    #expect(configuration.useBNInHead && configuration.localCropsScale == 0.1...0.4)
  }

  @Test func wrongValueIsRefusedInTheRecipesWords() {
    #expect {
      _ = try Self.train("--batch-size", "many")
    } throws: { "\($0)" == "--batch-size must be a whole number from 1 to 1048576, not 'many'." }
  }

  @Test(arguments: [
    ("--bath-size", "--batch-size"), ("--momentun-teacher", "--momentum-teacher"), ("--confg", "--config"),
  ])
  func mistypedFlagGetsTheNearestOffered(typed: String, meant: String) {
    #expect {
      _ = try TrainCommand.parse(Self.place + [typed, "1"])
    } throws: { error in
      TrainCommand.message(for: error).contains("Unknown option '\(typed)'. Did you mean '\(meant)'?")
        && TrainCommand.exitCode(for: error).rawValue == ExitStatus.usage.rawValue
    }
  }

  @Test func optionsAsArgumentsAreReadBackAsTheSame() throws {
    let arguments = [
      "--config", "a.yaml", "--change", "lr=0.001", "--batch-size", "64", "--local-crops-scale", "0.1,0.4",
    ]
    let options = try TrainCommand.parse(Self.place + arguments).settings
    let again = try CoordinatorCommand.parse(Self.place + options.arguments).settings
    #expect(again.config == "a.yaml" && again.change == ["lr=0.001"])
    #expect(again.flags.given.map { "\($0)" } == options.flags.given.map { "\($0)" })
  }
}

/// Arguments that cannot be meant are refused in a sentence.
struct ByteCountTests {
  @Test(arguments: [
    ("0", 0), ("65536", 65_536), ("512MiB", 512 << 20), ("64GiB", 64 << 30), ("2TiB", 2 << 40), ("3kB", 3_000),
    ("10TB", 10_000_000_000_000), ("7B", 7), ("4 GiB", nil), ("-1", nil), ("1.5GiB", nil), ("GiB", nil), ("4gib", nil),
    ("9999999999GiB", nil), ("", nil),
  ])
  func bytesAreReadAsPeopleWriteThem(text: String, bytes: Int?) {
    #expect(ByteCount(argument: text)?.bytes == bytes)
    if let count = ByteCount(argument: text) { #expect(ByteCount(argument: "\(count)") == count) }
  }

  @Test func theyReachTheCommands() throws {
    #expect(try WorkerCommand.parse(["--coordinator", "tcp://a:1", "--row-cache", "16MiB"]).rowCache.bytes == 16 << 20)
    #expect(WorkerCommand.helpMessage(columns: 1000).contains("(default: 4GiB)"))
    #expect(CoordinatorCommand.helpMessage(columns: 1000).contains("(default: 256MiB)"))
  }
}

struct LinkSpeedTests {
  @Test(arguments: [
    ("1Gbit", 1e9), ("100Mbit", 1e8), ("2.5Gbit", 2.5e9), ("56kbit", 56e3), ("1Tbit", 1e12), ("1", nil), ("Gbit", nil),
    ("1GB", nil), ("0Gbit", nil), ("-1Gbit", nil), ("infGbit", nil), ("1 Gbit", nil), ("", nil),
  ])
  func speedsAreReadAsPeopleWriteThem(text: String, bits: Double?) {
    #expect(LinkSpeed(argument: text)?.bitsPerSecond == bits)
    if bits != nil { #expect(LinkSpeed(argument: text)?.description == text) }
  }
}

struct RefusedArgumentTests {
  @Test(arguments: [
    (["--workers", "0"], "--workers must be at least 1, not 0."),
    (["--workers", "3", "--threads", "2"], "--threads 2 is fewer than --workers 3. Every worker needs a thread."),
  ])
  func trainRefuses(arguments: [String], sentence: String) {
    expectRefusal(sentence) { try TrainCommand.parse(["--data", "d", "--run", "r"] + arguments) }
  }

  @Test func trainListensOnThisMachineAlone() {
    expectRefusal(
      "massl train listens on this machine alone. For workers on others start massl coordinator with --listen."
    ) { try TrainCommand.parse(["--data", "d", "--run", "r", "--listen", "tcp://0.0.0.0:5570"]) }
  }

  @Test func statusNeedsOneSubject() {
    expectRefusal("Give either --run or --coordinator.") { try StatusCommand.parse([]) }
    expectRefusal("Give either --run or --coordinator.") {
      try StatusCommand.parse(["--run", "r", "--coordinator", "tcp://h:1"])
    }
  }

  @Test func keysGoTogether() {
    expectRefusal("--key and --coordinator-key go together: who this is, and whom it trusts.") {
      try WorkerCommand.parse(["--coordinator", "tcp://h:1", "--key", "k"])
    }
  }

  @Test func evaluationTakesSeveralNeighbourCounts() throws {
    let place = ["--run", "r", "--train", "a", "--test", "b"]
    #expect(try EvaluateNearestNeighborsCommand.parse(place).neighbors == [10, 20, 100, 200])
    #expect(try EvaluateNearestNeighborsCommand.parse(place + ["--k", "5", "7"]).neighbors == [5, 7])
    expectRefusal("--k must be at least 1, not 0.") {
      try EvaluateNearestNeighborsCommand.parse(place + ["--k", "0"])
    }
  }

  @Test(arguments: [
    (["--epochs", "0"], "--epochs must be from 1 to 1000000, not 0."),
    (["--lr", "0.1", "0"], "--lr must be a number above 0, not 0.0."),
    (["--no-cache", "--cache", "d"], "Give either --cache or --no-cache."),
    (["--num-heads", "3"], "--num-heads is for --weights: a run says itself which network it has."),
    (["--weights", "w"], "Give either --run or --weights."),
  ])
  func aLinearProbeRefuses(arguments: [String], sentence: String) {
    expectRefusal(sentence) {
      try EvaluateLinearCommand.parse(["--run", "r", "--train", "a", "--test", "b"] + arguments)
    }
  }

  @Test func otherEvaluationsRefuse() {
    expectRefusal("--labels is a share of the pictures: 0.01, say, not 10.0.") {
      try EvaluateLowShotCommand.parse(["--run", "r", "--train", "a", "--test", "b", "--labels", "10"])
    }
    expectRefusal("--train-every would leave out pictures that --split names.") {
      try EvaluateLowShotCommand.parse([
        "--run", "r", "--train", "a", "--test", "b", "--split", "s", "--train-every", "2",
      ])
    }
    for given in [["--train", "a"], ["--train", "a", "--ground-truth", "g"], ["--pictures", "p"], []] {
      expectRefusal("Give either --train and --test, or --ground-truth and --pictures.") {
        try EvaluateRetrievalCommand.parse(["--run", "r"] + given)
      }
    }
  }

  @Test func featuresAreKeptInTheRunUnlessToldOtherwise() throws {
    let sides = ["--train", "a", "--test", "b"]
    func folder(_ flags: [String]) throws -> String? {
      try EvaluateLinearCommand.parse(sides + flags).options.cacheFolder
    }
    #expect(try folder(["--run", "r"]) == "r/evaluations")
    #expect(try folder(["--run", "r", "--cache", "c"]) == "c")
    #expect(try folder(["--run", "r", "--no-cache"]) == nil)
    #expect(try folder(["--weights", "w"]) == nil)
    #expect(try folder(["--weights", "w", "--cache", "c"]) == "c")
  }

  @Test(arguments: [
    (["--workers", "0"], "--workers must be at least 1, not 0."),
    (["--workers", "5000"], "--workers must be at most 1024, not 5000."),
    (["--threads", "0"], "--threads must be from 1 to 1024, not 0."),
    (["--shards=-1"], "--shards must be from 0 to 1024, not -1."),
    (["--gflops", "0"], "--gflops must be a number above 0."),
    (["--efficiency", "85"], "--efficiency is a share of sgemm's speed: 0.85, say, not 85.0."),
    (
      ["--change", "lr=1"],
      "--change is for runs that exist. Give the key as a flag: --memory-size 65536."
    ),
  ])
  func planRefuses(arguments: [String], sentence: String) {
    expectRefusal(sentence) { try PlanCommand.parse(arguments) }
  }

  private func expectRefusal<Command: ParsableCommand>(_ sentence: String, _ parse: () throws -> Command) {
    #expect {
      _ = try parse()
    } throws: { error in
      Command.message(for: error) == sentence && Command.exitCode(for: error).rawValue == 64
    }
  }
}

/// The program itself answers as its parts do.
struct ProgramTests {
  @Test(arguments: [["--help"], ["train", "--help"], ["help", "evaluate", "knn"]])
  func helpGoesToStandardOutput(arguments: [String]) throws {
    let ended = try Program.run(arguments)
    #expect(ended.status == 0 && ended.errors.isEmpty)
    #expect(ended.output.contains("USAGE: massl"))
  }

  @Test func wrongFlagEndsWith64AndASentence() throws {
    let ended = try Program.run(["train", "--data", "d", "--run", "r", "--bath-size", "3"])
    #expect(ended.status == 64 && ended.output.isEmpty)
    #expect(ended.errors.hasPrefix("Error: Unknown option '--bath-size'. Did you mean '--batch-size'?"))
  }
}

/// massl starts itself again only where its environment is not the compute class's.
struct RelaunchTests {
  @Test func rightEnvironmentNeedsNoChange() {
    for computeClass in ComputeClass.allCases {
      for precision in ProductPrecision.allCases {
        let environment = computeClass.environment(for: precision)
        #expect(Relaunch.changes(for: computeClass, precision, in: environment).isEmpty)
      }
    }
  }

  @Test func onlyWhatDiffersIsSet() {
    var environment = ComputeClass.avx2.environment(for: .fp32)
    environment["OPENBLAS_CORETYPE"] = "Zen"
    environment["HOME"] = "/root"
    #expect(Relaunch.changes(for: .avx2, in: environment) == ["OPENBLAS_CORETYPE": "Haswell"])
    environment["OPENBLAS_NUM_THREADS"] = nil
    #expect(
      Relaunch.changes(for: .avx2, in: environment) == ["OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1"])
  }

  @Test func onlyAUsersVariablesAreNamed() {
    #expect(Relaunch.overruled(by: .avx2, in: [:]).isEmpty)
    #expect(
      Relaunch.overruled(by: .avx2, in: ["OPENBLAS_CORETYPE": "Zen", "OPENBLAS_NUM_THREADS": "1"])
        == ["OPENBLAS_CORETYPE=Zen of the environment is not used: compute_class avx2 needs Haswell."])
    #expect(Relaunch.overruled(by: .avx2, in: ComputeClass.avx512.environment(for: .fp32)).isEmpty)
    let users = ["OMP_NUM_THREADS": "8", "ONEDNN_MAX_CPU_ISA": "AVX2"]
    #expect(Relaunch.overruled(by: .avx512, in: users).isEmpty)
    #expect(
      Relaunch.overruled(by: .avx512, .bf16, in: users) == [
        "OMP_NUM_THREADS=8 of the environment is not used: compute_class avx512 needs 1.",
        "ONEDNN_MAX_CPU_ISA=AVX2 of the environment is not used: compute_class avx512 needs AVX512_CORE.",
      ])
  }

  @Test func everyNamedClassIsOneOfTheMachines() {
    for computeClass in ComputeClass.allCases {
      #expect(ComputeClassName(computeClass).rawValue == computeClass.rawValue)
      #expect(ComputeClass(ComputeClassName(computeClass), .fp32) == computeClass)
    }
    #expect(ComputeClassName.allCases.count == ComputeClass.allCases.count + 1)
    for precision in ProductPrecision.allCases {
      #expect(ComputeClass(.auto, precision) == Processor.bestClass(for: precision))
    }
    #expect(PrecisionName.allCases.map { ProductPrecision($0).rawValue } == PrecisionName.allCases.map(\.rawValue))
  }

  @Test func aFasterPrecisionIsNamedWhereTheProcessorHasIt() {
    #expect(FasterPrecision.sentence(instead: .fp32, on: [.avx2, .avx512]) == nil)
    #expect(FasterPrecision.sentence(instead: .bf16, on: [.avx2, .avx512, .amx]) == nil)
    #expect(
      FasterPrecision.sentence(instead: .fp32, on: [.avx2, .avx512, .avx512BF16])
        == "This processor multiplies bf16 itself: --precision bf16 would be faster.")
  }

  @Test func wrongSettingsAreUsageAndTheRestFailure() {
    #expect(ExitStatus(of: ConfigurationError.inconsistent([])) == .usage)
    #expect(ExitStatus(of: RelaunchError(reason: "")) == .failed)
    #expect(ExitStatus(of: DurabilityError.locked(path: "runs/a/coordinator.lock", holder: .current)) == .tryAgain)
    #expect(ExitStatus(of: ComputeClassError.otherKernels(.avx2, found: "Zen")) == .doNotRestart)
    #expect(ExitStatus.allCases.map(\.rawValue) == [0, 1, 64, 65, 75, 141])
  }
}
