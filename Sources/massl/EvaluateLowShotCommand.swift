import ArgumentParser
import Durability
import Evaluation
import Foundation
import Telemetry

/// `massl evaluate lowshot`.
package struct EvaluateLowShotCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "lowshot",
    abstract: "Learn classes from few labels, by logistic regression on frozen features.",
    discussion: """
      Learns from one picture a class (several draws: mean and deviation), from 1 % and from 10 % of --train, as many of
      each class, and classifies --test. Features are scaled to unit length. Several L2 penalties are tried, of which the
      best on --test counts. A published split is a list of file names: --split.

        massl evaluate lowshot --run runs/first --train pictures/train --test pictures/test
        massl evaluate lowshot --run runs/first --train imagenet/train --test imagenet/val --split 1percent.txt
      """)

  @OptionGroup package var folders: LabelledFolders

  @Option(
    name: .customLong("labels"), parsing: .upToNextOption,
    help: ArgumentHelp("Shares of --train whose labels are seen.", valueName: "share"))
  package var shares: [Double] = [0.01, 0.1]

  @Option(help: ArgumentHelp("Draws of one picture a class; 0 for none.", valueName: "count"))
  package var draws = 5

  @Option(
    help: ArgumentHelp(
      "Instead of all these: the labels seen are those of the files that this list names.", valueName: "file"))
  package var split: String?

  @Option(
    name: .customLong("l2"), parsing: .upToNextOption,
    help: ArgumentHelp("Penalties of the squared weights to try.", valueName: "penalty"))
  package var penalties: [Double] = LowShot.penalties

  @Option(help: ArgumentHelp("Decides which pictures are drawn.", valueName: "number"))
  package var seed: UInt64 = 0

  @OptionGroup package var sources: EvaluatedSources
  @OptionGroup package var options: EvaluationOptions

  package init() {}

  package func validate() throws {
    for share in shares where !(share > 0 && share <= 1) {
      throw ValidationError("--labels is a share of the pictures: 0.01, say, not \(share).")
    }
    guard (0...1000).contains(draws) else { throw ValidationError("--draws must be from 0 to 1000, not \(draws).") }
    for penalty in penalties where !(penalty > 0 && penalty.isFinite) {
      throw ValidationError("--l2 must be a number above 0, not \(penalty).")
    }
    if split != nil, folders.trainEvery != 1 {
      throw ValidationError("--train-every would leave out pictures that --split names.")
    }
  }

  /// Labels that are seen, in one draw or several.
  private struct Labels {
    let name: String
    /// Places in --train.
    let draws: [[Int]]
  }

  private struct Report: Encodable {
    let step: Int?
    var train: JudgedFolder?
    var test: JudgedFolder?
    let testOfOtherClasses: Int
    let classes: Int
    let seed: UInt64
    var lowshot: [String: [Row]] = [:]

    struct Row: Encodable {
      let labels: String
      /// Pictures whose labels are seen, in a draw.
      let pictures: Int
      let draws: Int
      let best: Figures
      let penalties: [Figures]
    }

    struct Figures: Encodable {
      let l2: Double
      /// Mean cross-entropy and penalty at the end of the fit: the mean over the draws.
      let loss: Double
      let topOne: Double
      /// Nil of one draw.
      let topOneDeviation: Double?
      /// Nil where there are five classes or fewer.
      let topFive: Double?

      init(_ result: LowShot.Result, showsTopFive: Bool) {
        l2 = result.penalty
        loss = result.losses.reduce(0, +) / Double(result.losses.count)
        topOne = result.topOne.mean
        topOneDeviation = result.scores.count > 1 ? result.topOne.deviation : nil
        topFive = showsTopFive ? result.topFive.mean : nil
      }
    }
  }

  package func run() throws {
    // 1. What is judged, on what, and whether there is memory for it.
    let judged = try JudgedNetwork(options)
    var remarks = EvaluationRemarks()
    let pictures = try folders.pictures(&remarks)
    let classCount = pictures.train.names.count
    let wanted = try labels(pictures.train, remarks)
    let most = wanted.flatMap(\.draws).map(\.count).max() ?? 0
    let frozen = try judged.features(
      "Labels of up to \(most) of \(pictures.train.count) pictures of \(classCount) classes are seen, and "
        + "\(pictures.test.count) are asked.",
      needing: EvaluationMemory(
        of: judged.network, pictures: pictures.train.count + pictures.test.count,
        works: [
          .lowShot(pictures: most, classCount: classCount, width: judged.network.architecture.embedDim)
        ]))
    var report = Report(
      step: judged.network.step, testOfOtherClasses: pictures.strangers, classes: classCount, seed: seed)

    // 2. Source by source, each number of labels as soon as it is there.
    if !options.json { try StandardOutput.write("Low-shot accuracy\(judged.atStep)") }
    for source in sources.all {
      let train = try frozen.rows(of: pictures.train.selection, source, flag: "--train", &remarks).scaledToUnitLength()
      let isThere = (0..<train.count).map { train.skipped[$0] == nil }
      let test = try LabelledFeatures(
        frozen.rows(of: pictures.test.selection, source, flag: "--test", &remarks).scaledToUnitLength(),
        pictures.test.classes(among: pictures.train.names), of: pictures.test.selection)
      // Places stay those of the folder: who was skipped is left out of each draw.
      let known = LabelledFeatures(train, pictures.train.classes)
      let lowShot = LowShot(penalties: penalties, classCount: classCount)
      for labels in wanted {
        let draws = labels.draws.map { $0.filter { isThere[$0] } }
        for seen in draws where Set(seen.map { pictures.train.classes[$0] }).count < 2 {
          throw EvaluationError.tooFewClasses(folder: pictures.train.root, found: seen.isEmpty ? 0 : 1)
        }
        let progress = EvaluationProgress(
          "\(source.rawValue), \(labels.name)", lowShot.fits(draws: draws.count), of: "fits")
        defer { progress.finish() }
        let results = try lowShot.results(train: known, draws: draws, test: test, threads: frozen.threads) {
          progress.add($0)
        }
        progress.finish()
        guard let best = LowShot.best(results) else { continue }
        if best.unfinished > 0 {
          remarks.say(
            "\(labels.name), penalty \(best.penalty): \(best.unfinished) of \(draws.count) fits ended before their "
              + "gradient was as small as wanted.")
        }
        let row = Report.Row(
          labels: labels.name, pictures: draws[0].count, draws: draws.count,
          best: Report.Figures(best, showsTopFive: classCount > 5),
          penalties: results.map { Report.Figures($0, showsTopFive: classCount > 5) })
        if !options.json { try show(row, of: source) }
        report.lowshot[source.rawValue, default: []].append(row)
      }
      report.train = JudgedFolder(
        folder: pictures.train.root, pictures: train.count - train.skipped.count, skipped: train.skipped.count,
        inNoClass: pictures.train.strays)
      report.test = JudgedFolder(pictures.test, test)
    }
    if options.json { try StandardOutput.write(report: report) }
  }

  /// Which labels are seen, fewest first; says what is short of them.
  private func labels(_ train: LabelledPictures, _ remarks: EvaluationRemarks) throws -> [Labels] {
    if let split {
      let text = String(decoding: try FileStorage().readWhole(split, limit: 1 << 30), as: UTF8.self)
      let found = try LabelSplit.named(text, in: train.selection, file: split)
      remarks.name(missing: found.missing, of: split, in: train.root)
      return [Labels(name: split, draws: [found.places])]
    }
    func drawn(_ name: String, each: Int, draws: Int) -> Labels {
      let found = (0..<draws).map {
        LabelSplit.balanced(train.classes, classCount: train.names.count, each: each, seed: seed, draw: $0)
      }
      if let small = found.first?.small, !small.isEmpty {
        remarks.say(
          "Warning: \(small.count) classes of \(train.root) have fewer than \(each) pictures ('\(train.names[small[0]])' "
            + "first). All of theirs are used for \(name).")
      }
      return Labels(name: name, draws: found.map(\.places))
    }
    let one = draws > 0 ? [drawn("1 picture a class", each: 1, draws: draws)] : []
    return one
      + shares.sorted().map { share in
        let each = LabelSplit.each(share: share, pictures: train.count, classCount: train.names.count)
        return drawn("\((share * 100).formatted())% of labels", each: each, draws: 1)
      }
  }

  private func show(_ row: Report.Row, of source: FrozenFeatures.Source) throws {
    let deviation = row.best.topOneDeviation.map { " ± \(threeDigits($0))" } ?? ""
    let topFive = row.best.topFive.map { "  top-5 \(threeDigits($0))" } ?? ""
    let draws = row.draws > 1 ? ", \(row.draws) draws" : ""
    try StandardOutput.write(
      "  \(source.rawValue)  \(row.labels) (\(row.pictures) pictures\(draws)): top-1 "
        + "\(threeDigits(row.best.topOne))\(deviation)\(topFive)  at penalty \(row.best.l2)")
  }
}
