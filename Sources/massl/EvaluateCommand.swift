import ArgumentParser
import Checkpoints
import Durability
import Evaluation
import Foundation
import Numerics
import Telemetry
import Vision

/// `massl evaluate`: how good frozen features are.
package struct EvaluateCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure how good frozen features are, on pictures with classes.",
    subcommands: [EvaluateNearestNeighborsCommand.self])

  package init() {}
}

/// `massl evaluate knn`.
package struct EvaluateNearestNeighborsCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "knn",
    abstract: "Classify pictures by their nearest neighbours among those of another folder.",
    discussion: """
      Prints the accuracy of the trained network's features, of the same network's before its first step, and of raw
      pixels. Features are scaled to unit length; the k nearest by cosine vote with weight exp(cosine / 0.07). Both
      folders hold a folder per class.

        massl evaluate knn --run runs/first --train pictures/train --test pictures/test
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("Run directory: the teacher of its newest checkpoint, or --step's.", valueName: "folder"))
  package var runDirectory: String?

  @Option(help: ArgumentHelp("The step of a kept checkpoint of --run.", valueName: "step"))
  package var step: Int?

  @Option(
    help: ArgumentHelp(
      "Instead of a run: an exported file, a file of a checkpoint, or a checkpoint's directory.", valueName: "path"))
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

  @Flag(help: "One JSON object on standard output.")
  package var json = false

  package init() {}

  package func validate() throws {
    if (runDirectory == nil) == (weights == nil) { throw ValidationError("Give either --run or --weights.") }
    if step != nil, runDirectory == nil { throw ValidationError("--step is the step of a checkpoint of --run.") }
    for count in neighbors { try requirePositive(count, "--k") }
    try requirePositive(trainEvery, "--train-every")
    try requirePositive(testEvery, "--test-every")
  }

  package func run() throws {
    let network = try FrozenNetwork(file: file())
    try Relaunch.ensure(ComputeClass(network.configuration.computeClass))
    let bank = try LabelledPictures(train, every: trainEvery)
    let queries = try LabelledPictures(test, every: testEvery)
    guard bank.names == queries.names else { throw EvaluationError.otherClasses(train: train, test: test) }

    let sources: [(name: String, source: Features.Source)] = [
      ("trained", .network(network.architecture, network.parameters)),
      ("untrained", .network(network.architecture, network.untrained)),
      ("pixels", .pixels(side: network.architecture.imageSize)),
    ]
    var accuracies: [[Double]] = []
    for source in sources {
      let neighbors = NearestNeighbors(
        bank: try features(source.source, of: bank, network), classes: bank.classes, classCount: bank.names.count)
      let asked = try features(source.source, of: queries, network)
      accuracies.append(self.neighbors.map { neighbors.accuracy(of: asked, classes: queries.classes, k: $0) })
    }

    if json {
      let rows = neighbors.indices.map { index in
        let fields = sources.indices.map { "\"\(sources[$0].name)\": \(accuracies[$0][index])" }
        return "{\"k\": \(neighbors[index]), \(fields.joined(separator: ", "))}"
      }
      try StandardOutput.write(
        json: "{\"step\": \(network.step.map(String.init) ?? "null"), \"bank\": \(bank.classes.count), "
          + "\"queries\": \(queries.classes.count), \"knn\": [\(rows.joined(separator: ", "))]}")
    } else {
      let step = network.step.map { " at step \($0)" } ?? ""
      try StandardOutput.write(
        "k-NN accuracy\(step): \(queries.classes.count) pictures asked, \(bank.classes.count) vote")
      try StandardOutput.write(columns("", neighbors.map { "k \($0)" }))
      for (source, row) in zip(sources, accuracies) {
        try StandardOutput.write(columns(source.name, row.map { String(format: "%.3f", $0) }))
      }
    }
  }

  private func columns(_ name: String, _ values: [String]) -> String {
    "  " + name.padding(toLength: 10, withPad: " ", startingAt: 0)
      + values.map { String(repeating: " ", count: max(0, 8 - $0.count)) + $0 }.joined()
  }

  private func features(_ source: Features.Source, of pictures: LabelledPictures, _ network: FrozenNetwork) throws
    -> Matrix
  {
    try Features.extract(source, of: pictures.indices, in: pictures.dataSet, network.normalization)
  }

  /// The file that holds the network.
  private func file() throws -> String {
    let storage = FileStorage()
    if let runDirectory {
      return try RunDirectory.checkpoint(of: runDirectory, step: step, in: storage).path + "/" + Checkpoint.teacherFile
    }
    let path = weights ?? ""
    let teacher = "\(path)/\(Checkpoint.teacherFile)"
    return try storage.exists(teacher) ? teacher : path
  }
}
