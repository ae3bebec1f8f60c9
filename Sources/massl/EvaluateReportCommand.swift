import ArgumentParser
import Configuration
import Evaluation
import Machine
import Networks
import Telemetry
import Vision
import Visualization

/// `massl evaluate report`.
package struct EvaluateReportCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write what frozen features are worth as one HTML page, with pictures.",
    discussion: """
      The page has the k-NN figures of 'massl evaluate knn', the confusion matrix, pictures with their nearest neighbours, a
      map of the features (PCA), and what the last block attends to. It is one file that needs no other, on light and dark
      screens, on a desk and on a phone; its figures are in it as JSON, too. Results of other evaluations, as they were
      printed with --json, are shown as they are.

        massl evaluate report --run runs/first --train pictures/train --test pictures/test --out report.html
        massl evaluate report --weights backbone.safetensors --num-heads 6 --train pictures/train --test pictures/test \\
          --include linear.json --out report.html
      """)

  @OptionGroup package var folders: LabelledFolders

  @Option(
    name: .customLong("k"), parsing: .upToNextOption,
    help: ArgumentHelp("Neighbours that vote; several counts may be given.", valueName: "count"))
  package var neighbors: [Int] = [10, 20]

  @Option(help: ArgumentHelp("Pictures of --test shown with neighbours and attention.", valueName: "n"))
  package var show = 8

  @Option(
    help: ArgumentHelp(
      "JSON that another evaluation printed, to be shown too. May be given several times.", valueName: "file"))
  package var include: [String] = []

  @Option(help: ArgumentHelp("The HTML file to write; one that is there is replaced.", valueName: "file"))
  package var out: String

  @OptionGroup package var options: EvaluationOptions

  package init() {}

  package func validate() throws {
    for count in neighbors { try requirePositive(count, "--k") }
    guard 0...200 ~= show else { throw ValidationError("--show must be from 0 to 200, not \(show).") }
  }

  package func run() throws {
    // 1. What is judged, and on what; whatever can be refused is, before anything is computed.
    let file = try OutputFile(out, ending: "html")
    let included = try include.map { try IncludedResult($0) }
    let judged = try JudgedNetwork(options)
    var remarks = EvaluationRemarks()
    let sides = try folders.listed(&remarks)
    let (bank, queries) = (sides.train, sides.test)
    let frozen = try judged.features(
      "\(bank.count) pictures vote, \(queries.count) are asked.",
      needing: EvaluationMemory(of: judged.network, bank: bank.count, queries: queries.count, counts: neighbors))
    let evaluation = PageEvaluation(frozen: frozen, bank: bank, queries: queries, counts: neighbors, show: show)

    // 2. The figures, then what is drawn.
    let page = try evaluation.page(
      title: title(of: judged.network), facts: facts(of: judged.network), included: included, remarks: &remarks)
    let html = Array(page.html.utf8)
    try file.write(html)
    try options.json
      ? StandardOutput.write(json: page.json)
      : StandardOutput.write("\(out): \(page.title), \((html.count + 512) / 1024) KiB")
  }

  private func title(of network: FrozenNetwork) -> String {
    let subject = options.network.runDirectory ?? options.network.weights ?? ""
    return "Features of \(subject)" + (network.step.map { ", step \($0)" } ?? "")
  }

  private func facts(of network: FrozenNetwork) -> [(name: String, value: String)] {
    let (architecture, configuration) = (network.architecture, network.configuration)
    let parameters = network.layout.backboneTensors.reduce(0) { $0 + $1.tensor.range.count }
    return [
      (
        options.network.runDirectory == nil ? "weights" : "run",
        options.network.runDirectory ?? options.network.weights ?? ""
      ),
      ("step", network.step.map(String.init) ?? "not said"),
      (
        "network",
        "ViT \(architecture.embedDim)/\(architecture.depth)/\(architecture.numHeads), patches of \(architecture.patchSize) px"
      ),
      ("features", architecture.useMeanPooling ? "mean of the patch tokens" : "class token"),
      ("backbone's parameters", "\(parameters)"),
      ("pictures", "\(architecture.imageSize) px, the middle square"),
      (
        "compute class, precision of training",
        "\(ComputeClass(configuration).rawValue), \(configuration.precision.rawValue)"
      ),
      ("neighbours from", folders.train + Self.every(folders.trainEvery)),
      ("asked", folders.test + Self.every(folders.testEvery)),
    ]
  }

  private static func every(_ n: Int) -> String { n > 1 ? ", every n-th picture with n = \(n)" : "" }
}
