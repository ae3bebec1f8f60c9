import ArgumentParser
import Evaluation
import Synchronization
import Telemetry

/// `massl evaluate linear`.
package struct EvaluateLinearCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "linear",
    abstract: "Train one linear layer on frozen features, and tell how often it is right.",
    discussion: """
      The linear probe of the field: SGD with momentum 0.9 and no weight decay, a learning rate that falls along a cosine,
      several learning rates at the same time, of which the best on --test counts. Features are those of each picture's
      middle, without augmentation, so they are computed once. The figures are the same for any number of threads.

        massl evaluate linear --run runs/first --train pictures/train --test pictures/test
      """)

  @OptionGroup package var folders: LabelledFolders

  @Option(help: ArgumentHelp("Passes over --train.", valueName: "count"))
  package var epochs = 100

  @Option(help: ArgumentHelp("Pictures a step.", valueName: "pictures"))
  package var batchSize = 256

  @Option(
    name: .customLong("lr"), parsing: .upToNextOption,
    help: ArgumentHelp("Learning rates to try, for 256 pictures a step.", valueName: "rate"))
  package var learningRates: [Double] = LinearProbe.learningRates

  @Option(help: ArgumentHelp("Decides the layer's first weights and the order of the pictures.", valueName: "number"))
  package var seed: UInt64 = 0

  @OptionGroup package var sources: EvaluatedSources
  @OptionGroup package var options: EvaluationOptions

  private static let epochsAtMost = 1_000_000

  package init() {}

  package func validate() throws {
    guard (1...Self.epochsAtMost).contains(epochs) else {
      throw ValidationError("--epochs must be from 1 to \(Self.epochsAtMost), not \(epochs).")
    }
    try requirePositive(batchSize, "--batch-size")
    for rate in learningRates where !(rate > 0 && rate.isFinite) {
      throw ValidationError("--lr must be a number above 0, not \(rate).")
    }
  }

  private struct Report: Encodable {
    let step: Int?
    var train: JudgedFolder?
    var test: JudgedFolder?
    let testOfOtherClasses: Int
    let classes: Int
    let epochs: Int
    let batchSize: Int
    let seed: UInt64
    var linear: [String: Source] = [:]

    struct Source: Encodable {
      /// Nil if every learning rate was too large.
      let best: Figures?
      let rates: [Figures]
    }

    struct Figures: Encodable {
      let lr: Double
      let topOne: Double?
      /// Nil where there are five classes or fewer.
      let topFive: Double?
    }
  }

  package func run() throws {
    // 1. What is judged, on what, and whether there is memory for it.
    let judged = try JudgedNetwork(options)
    var remarks = EvaluationRemarks()
    let pictures = try folders.pictures(&remarks)
    let classCount = pictures.train.names.count
    var settings = LinearProbe.Settings()
    (settings.epochs, settings.batchSize) = (epochs, batchSize)
    (settings.learningRates, settings.seed) = (learningRates, seed)
    let frozen = try judged.features(
      "One layer learns from \(pictures.train.count) pictures of \(classCount) classes, and is asked for "
        + "\(pictures.test.count).",
      needing: EvaluationMemory(
        of: judged.network, pictures: pictures.train.count + pictures.test.count,
        works: [
          .linearProbe(
            settings, pictures: pictures.train.count, classCount: classCount,
            width: judged.network.architecture.embedDim)
        ]))
    var report = Report(
      step: judged.network.step, testOfOtherClasses: pictures.strangers, classes: classCount, epochs: epochs,
      batchSize: batchSize, seed: seed)

    // 2. Source by source, each learning rate as soon as it is there.
    let table = LinearTable(showsTopFive: classCount > 5)
    if !options.json {
      try StandardOutput.write("Linear probe\(judged.atStep): \(epochs) epochs, \(batchSize) pictures a step")
    }
    for source in sources.all {
      let (train, test) = try pictures.features(frozen, source, &remarks)
      let probe = LinearProbe(settings, classCount: classCount)
      let progress = EvaluationProgress(source.rawValue, probe.steps(pictures: train.rows.count), of: "steps")
      defer { progress.finish() }
      let results = try probe.results(train: train, test: test, threads: frozen.threads) {
        progress.add($0)
      } found: { [options] result in
        if !options.json { try table.show(result, of: source) }
      }
      progress.finish()
      let best = LinearProbe.best(results)
      if !options.json { try table.show(best: best, of: source) }
      report.train = JudgedFolder(pictures.train, train)
      report.test = JudgedFolder(pictures.test, test)
      report.linear[source.rawValue] = Report.Source(
        best: best.map { table.figures($0) }, rates: results.map { table.figures($0) })
    }
    if options.json { try StandardOutput.write(report: report) }
  }

  /// Lines as results come, by whatever thread.
  private struct LinearTable {
    let showsTopFive: Bool

    func show(_ result: LinearProbe.Result, of source: FrozenFeatures.Source) throws {
      try StandardOutput.write("  \(source.rawValue)  lr \(result.learningRate)  \(words(result))")
    }

    func show(best: LinearProbe.Result?, of source: FrozenFeatures.Source) throws {
      guard let best else {
        return try StandardOutput.write("  \(source.rawValue) best: none. Try smaller learning rates: --lr.")
      }
      try StandardOutput.write("  \(source.rawValue) best: lr \(best.learningRate)  \(words(best))")
    }

    func figures(_ result: LinearProbe.Result) -> Report.Figures {
      Report.Figures(
        lr: result.learningRate, topOne: result.score?.topOne, topFive: showsTopFive ? result.score?.topFive : nil)
    }

    private func words(_ result: LinearProbe.Result) -> String {
      guard let score = result.score else { return "its weights grow without bound" }
      return "top-1 \(threeDigits(score.topOne))" + (showsTopFive ? "  top-5 \(threeDigits(score.topFive))" : "")
    }
  }
}
