import ArgumentParser
import Checkpoints
import Durability
import Evaluation
import Machine
import Numerics
import Telemetry

/// `massl evaluate`: how good frozen features are.
package struct EvaluateCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure how good frozen features are, on pictures with classes.",
    subcommands: [EvaluateNearestNeighborsCommand.self])

  package init() {}
}

/// `massl evaluate knn`.
package struct EvaluateNearestNeighborsCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "knn",
    abstract: "Classify pictures by their nearest neighbours among those of another folder.",
    discussion: """
      Prints the accuracy of the trained network's features, of the same network's before its first step, and of raw
      pixels. Features are scaled to unit length; the k nearest by cosine vote with weight exp(cosine / 0.07). Both
      folders hold a folder per class, with pictures at any depth below it. Pictures that cannot be read are named and
      left out.

        massl evaluate knn --run runs/first --train pictures/train --test pictures/test
        massl evaluate knn --weights backbone.safetensors --num-heads 6 --train pictures/train --test pictures/test
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("Run directory: the teacher of its newest checkpoint, or --step's.", valueName: "folder"))
  package var runDirectory: String?

  @Option(help: ArgumentHelp("The step of a kept checkpoint of --run.", valueName: "step"))
  package var step: Int?

  @Option(
    help: ArgumentHelp(
      "Instead of a run: a safetensors file (exported, of a checkpoint, or a backbone's alone), or a checkpoint's directory.",
      valueName: "path"))
  package var weights: String?

  @Option(help: ArgumentHelp("Folder of the neighbours, a folder per class.", valueName: "folder"))
  package var train: String

  @Option(help: ArgumentHelp("Folder of the pictures to classify, the same classes.", valueName: "folder"))
  package var test: String

  @Option(
    name: .customLong("k"), parsing: .upToNextOption,
    help: ArgumentHelp("Neighbours that vote; several counts may be given.", valueName: "count"))
  package var neighbors: [Int] = [10, 20]

  @Option(help: ArgumentHelp("Use every n-th picture of --train.", valueName: "n"))
  package var trainEvery = 1

  @Option(help: ArgumentHelp("Use every n-th picture of --test.", valueName: "n"))
  package var testEvery = 1

  @OptionGroup(title: "The network of --weights, where the file does not say")
  package var backbone: BackboneFlags

  @Flag(help: "One JSON object on standard output.")
  package var json = false

  package init() {}

  package func validate() throws {
    if (runDirectory == nil) == (weights == nil) { throw ValidationError("Give either --run or --weights.") }
    if step != nil, runDirectory == nil { throw ValidationError("--step is the step of a checkpoint of --run.") }
    if runDirectory != nil, let flag = backbone.given.first {
      throw ValidationError("--\(flag.name) is for --weights: a run says itself which network it has.")
    }
    for count in neighbors { try requirePositive(count, "--k") }
    try requirePositive(trainEvery, "--train-every")
    try requirePositive(testEvery, "--test-every")
  }

  package func run() throws {
    // 1. What is judged, on what, and whether there is memory for it.
    let file = try NetworkFile(weightsFile(), given: backbone.given)
    let trained = ComputeClass(file.configuration)
    // Frozen features are floats, whatever the products of training were.
    let isHere = Processor.classes.contains(trained) && trained.support(of: .fp32) != .none
    let computeClass = isHere ? trained : Processor.bestClass(for: .fp32)
    try Relaunch.ensure(computeClass, .fp32)
    let bank = try LabelledPictures(train, every: trainEvery)
    let queries = try LabelledPictures(test, every: testEvery)
    var remarks = EvaluationRemarks()
    try remarks.look(at: bank, queries)
    if !Processor.classes.contains(trained) {
      remarks.say(
        "The run's compute_class is \(trained.rawValue), which this machine has not. Features are computed in "
          + "\(computeClass.rawValue): a figure's last digit may differ.")
    }
    let network = try FrozenNetwork(file)
    for note in network.notes { remarks.say(note) }
    let memory = EvaluationMemory(of: network, bank: bank.count, queries: queries.count, counts: neighbors)
    let allowance = Allowance.current
    let available = allowance.memory.usable
    let threads = try memory.threads(atMost: allowance.processors.usable, available: available)
    remarks.say(
      "\(bank.count) pictures vote, \(queries.count) are asked. That takes \(mebibytes(memory.bytes(threads: threads))) of "
        + "the \(mebibytes(available)) of memory that there are, with \(threads) thread\(threads == 1 ? "" : "s")."
    )

    // 2. Row by row, each as soon as it is there.
    let judge = NearestNeighborsJudge(
      network: network, bank: bank, queries: queries, counts: neighbors, threads: threads)
    var table = EvaluationTable(counts: neighbors, step: network.step)
    for source in NearestNeighborsJudge.Source.allCases {
      let progress = EvaluationProgress(source.rawValue, pictures: judge.reads(source))
      let row = try judge.row(source) { progress.add($0) }
      progress.finish()
      remarks.name(skipped: row)
      if !json { try table.show(row) }
      table.rows.append(row)
    }
    if json {
      try StandardOutput.write(json: table.json(strays: (bank.strays, queries.strays), strangers: judge.strangers))
    }
  }

  /// The file that holds the network.
  private func weightsFile() throws -> String {
    let storage = FileStorage()
    if let runDirectory {
      return try RunDirectory.checkpoint(of: runDirectory, step: step, in: storage).path + "/" + Checkpoint.teacherFile
    }
    let path = weights ?? ""
    let teacher = "\(path)/\(Checkpoint.teacherFile)"
    return try storage.exists(teacher) ? teacher : path
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

  package init() {}

  /// The flags that were given.
  package var given: [(name: String, text: String)] {
    [
      ("arch", arch), ("embed-dim", embedDim), ("depth", depth), ("num-heads", numHeads), ("patch-size", patchSize),
      ("use-mean-pooling", useMeanPooling), ("image-size", imageSize),
    ].compactMap { name, text in text.map { (name, $0) } }
  }
}
