import ArgumentParser
import Evaluation
import Telemetry

/// `massl evaluate cluster`.
package struct EvaluateClusterCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "cluster",
    abstract: "Group pictures by their features alone, and tell how far the groups are the classes.",
    discussion: """
      k-means on features of unit length, from k-means++ centers, the tightest of several restarts. Normalised mutual
      information (NMI) and adjusted mutual information (AMI, 0 where groups know nothing of classes) are scikit-learn's.
      Accuracy is the share that is right once each group is called by one class, in the best way.

        massl evaluate cluster --run runs/first --pictures pictures/test
      """)

  @Option(help: ArgumentHelp("The pictures to group, in classes.", valueName: "pictures"))
  package var pictures: String

  @Option(help: ArgumentHelp("Use every n-th picture.", valueName: "n"))
  package var every = 1

  @Option(help: ArgumentHelp("Groups; as many as there are classes unless given.", valueName: "count"))
  package var clusters: Int?

  @Option(help: ArgumentHelp("Times that it begins from other centers.", valueName: "count"))
  package var restarts = 10

  @Option(help: ArgumentHelp("Decides the first centers.", valueName: "number"))
  package var seed: UInt64 = 0

  @Option(
    help: ArgumentHelp(
      "Write a line a picture: its group of the trained network's features, and its path.", valueName: "file"))
  package var groupsFile: String?

  @OptionGroup package var sources: EvaluatedSources
  @OptionGroup package var options: EvaluationOptions

  package init() {}

  package func validate() throws {
    try requirePositive(every, "--every")
    try requirePositive(clusters, "--clusters")
    try requirePositive(restarts, "--restarts")
  }

  private struct Report: Encodable {
    let step: Int?
    var pictures: JudgedFolder?
    let classes: Int
    let clusters: Int
    let restarts: Int
    let seed: UInt64
    var cluster: [String: Figures] = [:]

    struct Figures: Encodable {
      let nmi: Double
      let ami: Double
      let accuracy: Double
      let inertia: Double
      let iterations: Int
    }
  }

  package func run() throws {
    let groupsFile = try groupsFile.map { try OutputFile($0, flag: "--groups-file") }
    // 1. What is judged, on what, and whether there is memory for it.
    let judged = try JudgedNetwork(options)
    var remarks = EvaluationRemarks()
    let labelled = try LabelledPictures(pictures, every: every)
    remarks.look(at: labelled)
    let clusters = clusters ?? Set(labelled.classes).count
    guard Set(labelled.classes).count > 1 else { throw EvaluationError.tooFewClasses(folder: pictures, found: 1) }
    guard clusters <= labelled.count else {
      throw EvaluationError.tooFewPictures(folder: pictures, found: labelled.count, wanted: clusters)
    }
    let frozen = try judged.features(
      "\(labelled.count) pictures of \(Set(labelled.classes).count) classes come into \(clusters) groups.",
      needing: EvaluationMemory(
        of: judged.network, pictures: labelled.count,
        works: [
          .kMeans(pictures: labelled.count, clusters: clusters, width: judged.network.architecture.embedDim)
        ]))
    var report = Report(
      step: judged.network.step, classes: Set(labelled.classes).count, clusters: clusters, restarts: restarts,
      seed: seed)

    // 2. Source by source.
    if !options.json {
      try StandardOutput.write("k-means\(judged.atStep): \(clusters) groups, the tightest of \(restarts)")
    }
    for source in sources.all {
      let features = try LabelledFeatures(
        frozen.rows(of: labelled.selection, source, flag: "--pictures", &remarks).scaledToUnitLength(),
        labelled.classes, of: labelled.selection)
      guard features.rows.count >= clusters else {
        throw EvaluationError.tooFewPictures(folder: pictures, found: features.rows.count, wanted: clusters)
      }
      let progress = EvaluationProgress(source.rawValue, restarts, of: "restarts")
      defer { progress.finish() }
      let groups = try KMeans(clusters: clusters, restarts: restarts, seed: seed)
        .best(of: features.rows, threads: frozen.threads) { progress.add($0) }
      progress.finish()
      let agreement = MutualInformation(groups.assignments, features.labels)
      let figures = Report.Figures(
        nmi: agreement.normalized, ami: agreement.adjusted, accuracy: agreement.accuracy, inertia: groups.inertia,
        iterations: groups.iterations)
      if !options.json {
        try StandardOutput.write(
          "  \(source.rawValue)  NMI \(threeDigits(figures.nmi))  AMI \(threeDigits(figures.ami))  accuracy "
            + threeDigits(figures.accuracy))
      }
      report.pictures = JudgedFolder(labelled, features)
      report.cluster[source.rawValue] = figures
      if let groupsFile, source == .trained {
        let names = features.places.map { labelled.selection.path($0) }
        let lines = zip(groups.assignments, names).map { "\($0)\t\($1)\n" }
        try groupsFile.write(lines.joined().utf8)
      }
    }
    if options.json { try StandardOutput.write(report: report) }
  }
}
