import ArgumentParser
import Evaluation
import Telemetry

/// `massl evaluate retrieval`.
package struct EvaluateRetrievalCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "retrieval",
    abstract: "Rank pictures by cosine for each of many queries, and tell how high the relevant ones stand.",
    discussion: """
      Prints the mean average precision (mAP) and the mean precision among the first 1, 5 and 10. With --train and --test,
      each picture of --test ranks those of --train, and those of its class are relevant; give one folder for both, and
      each of its pictures ranks all others. With --ground-truth, revisited Oxford or Paris say what is relevant, easy,
      medium and hard. Their file is a pickle. These two lines of Python make JSON of it:

        import json, pickle
        json.dump(pickle.load(open("gnd_roxford5k.pkl", "rb")), open("gnd_roxford5k.json", "w"), default=lambda a: a.tolist())

        massl evaluate retrieval --run runs/first --train pictures/train --test pictures/test
        massl evaluate retrieval --run runs/first --ground-truth gnd_roxford5k.json --pictures roxford5k/jpg
      """)

  @Option(help: ArgumentHelp("The pictures that are ranked, in classes.", valueName: "pictures"))
  package var train: String?

  @Option(help: ArgumentHelp("The queries, the same classes.", valueName: "pictures"))
  package var test: String?

  @Option(help: ArgumentHelp("Use every n-th picture of --train.", valueName: "n"))
  package var trainEvery = 1

  @Option(help: ArgumentHelp("Use every n-th picture of --test.", valueName: "n"))
  package var testEvery = 1

  @Option(help: ArgumentHelp("Instead of classes: what is relevant, as JSON.", valueName: "file"))
  package var groundTruth: String?

  @Option(help: ArgumentHelp("The pictures that --ground-truth names, at any depth.", valueName: "pictures"))
  package var pictures: String?

  @OptionGroup package var sources: EvaluatedSources
  @OptionGroup package var options: EvaluationOptions

  package init() {}

  package func validate() throws {
    try requirePositive(trainEvery, "--train-every")
    try requirePositive(testEvery, "--test-every")
    let byClass = train != nil && test != nil && groundTruth == nil && pictures == nil
    let byTruth = train == nil && test == nil && groundTruth != nil && pictures != nil
    guard byClass || byTruth else {
      throw ValidationError("Give either --train and --test, or --ground-truth and --pictures.")
    }
  }

  private struct Report: Encodable {
    let step: Int?
    var bank: JudgedFolder?
    var queries: JudgedFolder?
    var retrieval: [String: [Row]] = [:]

    struct Row: Encodable {
      /// "class", or the level of the ground truth.
      let relevance: String
      let map: Double
      /// Precision among the first 1, 5 and 10.
      let precisions: [Double]
      let queries: Int
      let withoutRelevant: Int

      init(_ relevance: String, _ figures: RetrievalFigures) {
        self.relevance = relevance
        map = figures.meanAveragePrecision
        precisions = figures.meanPrecisions
        queries = figures.queries
        withoutRelevant = figures.withoutRelevant
      }
    }
  }

  package func run() throws {
    let judged = try JudgedNetwork(options)
    if let groundTruth, let pictures {
      let truth = try RetrievalGroundTruth(groundTruth)
      let (bank, queries) = try truth.selections(in: pictures, file: groundTruth)
      try run(judged, bank: bank, queries: queries, flags: ("--pictures", "--pictures")) { retrieval, threads, done in
        try retrieval.byGroundTruth(truth, threads: threads, done: done).map {
          Report.Row($0.level.rawValue, $0.figures)
        }
      }
    } else if let train, let test {
      let remarks = EvaluationRemarks()
      let bank = try LabelledPictures(train, every: trainEvery)
      let queries = try LabelledPictures(test, every: testEvery)
      let own = queries.selection.places(in: bank.selection)
      if own != nil {
        remarks.look(at: bank)
        remarks.say("--train and --test hold the same pictures: each picture ranks all others.")
      } else {
        try remarks.look(at: bank, queries)
      }
      let asked = queries.classes(among: bank.names)
      try run(judged, bank: bank.selection, queries: queries.selection, flags: ("--train", "--test"), remarks) {
        retrieval, threads, done in
        let figures = try retrieval.byClass(
          bank.classes, truth: asked, own: own, threads: threads, done: done)
        return [Report.Row("class", figures)]
      }
    }
  }

  private func run(
    _ judged: JudgedNetwork, bank: PictureSelection, queries: PictureSelection, flags: (bank: String, queries: String),
    _ remarks: EvaluationRemarks = EvaluationRemarks(),
    _ rows: (Retrieval, _ threads: Int, _ done: @Sendable (Int) -> Void) throws -> [Report.Row]
  ) throws {
    var remarks = remarks
    let frozen = try judged.features(
      "\(queries.count) pictures rank \(bank.count).",
      needing: EvaluationMemory(
        of: judged.network, pictures: bank.count + queries.count, works: [.retrieval(bank: bank.count)]))
    var report = Report(step: judged.network.step)
    if !options.json {
      try StandardOutput.write("Retrieval\(judged.atStep): \(queries.count) queries, \(bank.count) pictures")
    }
    for source in sources.all {
      let ranked = try frozen.rows(of: bank, source, flag: flags.bank, &remarks).scaledToUnitLength()
      let isOne =
        bank.indices == queries.indices && bank.dataSet.identity == queries.dataSet.identity
      let asked =
        isOne ? ranked : try frozen.rows(of: queries, source, flag: flags.queries, &remarks).scaledToUnitLength()
      let levels = groundTruth == nil ? 1 : RetrievalGroundTruth.Level.allCases.count
      let progress = EvaluationProgress(source.rawValue, levels * queries.count, of: "queries")
      defer { progress.finish() }
      let found = try rows(Retrieval(queries: asked, bank: ranked), frozen.threads) { progress.add($0) }
      progress.finish()
      for row in found where !options.json { try show(row, of: source) }
      report.retrieval[source.rawValue] = found
      report.bank = JudgedFolder(bank, ranked)
      report.queries = JudgedFolder(queries, asked)
    }
    if options.json { try StandardOutput.write(report: report) }
  }

  private func show(_ row: Report.Row, of source: FrozenFeatures.Source) throws {
    let precisions = zip(RetrievalFigures.depths, row.precisions).map { "mP@\($0) \(threeDigits($1))" }
    let left = row.withoutRelevant > 0 ? "  (\(row.withoutRelevant) queries have nothing relevant)" : ""
    try StandardOutput.write(
      "  \(source.rawValue)  \(row.relevance)  mAP \(threeDigits(row.map))  \(precisions.joined(separator: "  "))\(left)"
    )
  }
}
