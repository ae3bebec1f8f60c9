import ArgumentParser
import Evaluation
import Telemetry

/// `massl evaluate copy`.
package struct EvaluateCopyCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "copy",
    abstract: "Find the originals of altered copies among other pictures.",
    discussion: """
      Each copy ranks originals and distractors by cosine; the mean average precision says how high its original stands.
      A copy belongs to the original whose name a folder above it has (copies/ORIGINAL/any.jpg), or which it has itself
      (copies/crop/ORIGINAL.jpg), or whose number has the same hundreds, as in Copydays: 200001.jpg is a copy of
      200000.jpg. Other folders say how copies were altered; each has a figure of its own. With --whiten features are
      whitened by principal components of that folder's pictures.

        massl evaluate copy --run runs/first --originals copydays/original --copies copydays/strong --whiten other
      """)

  @Option(help: ArgumentHelp("The originals.", valueName: "pictures"))
  package var originals: String

  @Option(help: ArgumentHelp("The altered copies.", valueName: "pictures"))
  package var copies: String

  @Option(help: ArgumentHelp("Pictures that are the original of none.", valueName: "pictures"))
  package var distractors: String?

  @Option(help: ArgumentHelp("Other pictures, which whitening is learned from.", valueName: "pictures"))
  package var whiten: String?

  @OptionGroup package var sources: EvaluatedSources
  @OptionGroup package var options: EvaluationOptions

  package init() {}

  private struct Report: Encodable {
    let step: Int?
    var originals: JudgedFolder?
    var copies: JudgedFolder?
    var distractors: JudgedFolder?
    var whitening: JudgedFolder?
    let copiesOfNoOriginal: Int
    var copy: [String: [Row]] = [:]

    struct Row: Encodable {
      /// The folder that says how the copies were altered, "." for none; "all" of all.
      let kind: String
      let map: Double
      let copies: Int
      /// Copies whose original had to be left out.
      let withoutOriginal: Int
    }
  }

  package func run() throws {
    // 1. What is judged, on what, and whether there is memory for it.
    let judged = try JudgedNetwork(options)
    var remarks = EvaluationRemarks()
    let pairs = try CopyPairs(originals: originals, copies: copies)
    remarks.name(strangers: pairs.strangers)
    let others = try distractors.map { try PictureSelection($0) }
    let learned = try whiten.map { try PictureSelection($0) }
    let bankCount = pairs.originals.count + (others?.count ?? 0)
    let width = judged.network.architecture.embedDim
    let frozen = try judged.features(
      "\(pairs.copies.count) copies are looked up among \(bankCount) pictures.",
      needing: EvaluationMemory(
        of: judged.network, pictures: max(2 * bankCount, pairs.copies.count + bankCount + (learned?.count ?? 0)),
        works: [.retrieval(bank: bankCount)] + (learned == nil ? [] : [.whitening(width: width)])))
    var report = Report(step: judged.network.step, copiesOfNoOriginal: pairs.strangers.count)

    // 2. Source by source.
    if !options.json {
      try StandardOutput.write("Copy detection\(judged.atStep): \(pairs.copies.count) copies, \(bankCount) pictures")
    }
    for source in sources.all {
      var whitening: Whitening?
      if let learned {
        let rows = try frozen.rows(of: learned, source, flag: "--whiten", &remarks)
        whitening = try Whitening(rows)
        report.whitening = JudgedFolder(learned, rows)
      }
      func features(_ pictures: PictureSelection, _ flag: String) throws -> FeatureRows {
        let rows = try frozen.rows(of: pictures, source, flag: flag, &remarks)
        return (whitening.map { $0(rows) } ?? rows).scaledToUnitLength()
      }
      var bank = try features(pairs.originals, "--originals")
      report.originals = JudgedFolder(pairs.originals, bank)
      if let others {
        let rows = try features(others, "--distractors")
        report.distractors = JudgedFolder(others, rows)
        bank = bank.appending(rows)
      }
      let asked = try features(pairs.copies, "--copies")
      report.copies = JudgedFolder(pairs.copies, asked)
      let progress = EvaluationProgress(source.rawValue, pairs.copies.count, of: "copies")
      defer { progress.finish() }
      let rows = try CopyDetection.rows(pairs, copies: asked, bank: bank, threads: frozen.threads) { progress.add($0) }
      progress.finish()
      let found = rows.map { row in
        Report.Row(
          kind: row.kind ?? "all", map: row.figures.meanAveragePrecision, copies: row.figures.queries,
          withoutOriginal: row.figures.withoutRelevant)
      }
      for row in found where !options.json {
        try StandardOutput.write(
          "  \(source.rawValue)  \(row.kind)  mAP \(threeDigits(row.map))  (\(row.copies) copies)")
      }
      report.copy[source.rawValue] = found
    }
    if options.json { try StandardOutput.write(report: report) }
  }
}
