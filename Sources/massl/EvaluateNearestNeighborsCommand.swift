import ArgumentParser
import Evaluation
import Telemetry

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

  @OptionGroup package var folders: LabelledFolders

  @Option(
    name: .customLong("k"), parsing: .upToNextOption,
    help: ArgumentHelp("Neighbours that vote; several counts may be given.", valueName: "count"))
  package var neighbors: [Int] = [10, 20, 100, 200]

  @OptionGroup package var options: EvaluationOptions

  package init() {}

  package func validate() throws {
    for count in neighbors { try requirePositive(count, "--k") }
  }

  package func run() throws {
    // 1. What is judged, on what, and whether there is memory for it.
    let judged = try JudgedNetwork(options)
    var remarks = EvaluationRemarks()
    let sides = try folders.listed(&remarks)
    let (bank, queries) = (sides.train, sides.test)
    let frozen = try judged.features(
      "\(bank.count) pictures vote, \(queries.count) are asked.",
      needing: EvaluationMemory(of: judged.network, bank: bank.count, queries: queries.count, counts: neighbors))

    // 2. Row by row, each as soon as it is there.
    let judge = NearestNeighborsJudge(frozen, bank: bank, queries: queries, counts: neighbors)
    var table = NearestNeighborsTable(counts: neighbors, step: judged.network.step)
    for source in NearestNeighborsJudge.Source.allCases {
      let progress = EvaluationProgress(source.rawValue, judge.reads(source), of: "pictures")
      let row = try judge.row(source) { progress.add($0) }
      progress.finish()
      remarks.name(skipped: row.skippedOfBank, of: "--train")
      remarks.name(skipped: row.skippedOfQueries, of: "--test")
      if !options.json { try table.show(row) }
      table.rows.append(row)
    }
    if options.json {
      try StandardOutput.write(json: table.json(strays: (bank.strays, queries.strays), strangers: judge.strangers))
    }
  }
}
