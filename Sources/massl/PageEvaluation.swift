import Evaluation
import Vision
import Visualization

/// Computes what a page of an evaluation shows.
struct PageEvaluation {
  let frozen: FrozenFeatures
  let bank: LabelledPictures
  let queries: LabelledPictures
  let counts: [Int]
  /// Pictures that are shown with their neighbours and attention.
  let show: Int

  private var network: FrozenNetwork { frozen.network }

  /// Neighbours that are shown of each.
  private static let neighbors = 8

  func page(
    title: String, facts: [(name: String, value: String)], included: [IncludedResult],
    remarks: inout EvaluationRemarks
  ) throws -> EvaluationPage {
    // 1. The trained network's features, once, for all that follows from them.
    let judge = NearestNeighborsJudge(frozen, bank: bank, queries: queries, counts: counts)
    let trained = EvaluationProgress("trained", judge.reads(.trained), of: "pictures")
    let voters = try frozen.rows(of: bank.selection) { trained.add($0) }.scaledToUnitLength()
    let asked = try frozen.rows(of: queries.selection) { trained.add($0) }.scaledToUnitLength()
    trained.finish()
    let row = try judge.row(.trained, bank: voters, queries: asked)
    remarks.name(skipped: row.skippedOfBank, of: "--train")
    remarks.name(skipped: row.skippedOfQueries, of: "--test")
    let knn = NearestNeighbors(counts: counts, classes: bank.classes, classCount: bank.names.count)
    let answers = try knn.answers(bank: voters, queries: asked, threads: frozen.threads)

    // 2. What they are compared with.
    var rows = [row]
    for source in [NearestNeighborsJudge.Source.untrained, .pixels] {
      let other = EvaluationProgress(source.rawValue, judge.reads(source), of: "pictures")
      rows.append(try judge.row(source) { other.add($0) })
      other.finish()
    }

    // 3. Names and pictures. Classes that only the queries have come behind the bank's: nobody is taken for them.
    let names = bank.names + queries.names.filter { !bank.names.contains($0) }
    let places = Dictionary(names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let truth = queries.classes.map { places[queries.names[$0]] ?? 0 }
    var confusion = ConfusionMatrix(names: names)
    for (query, answer) in answers.enumerated() {
      if let answer { confusion.add(truth: truth[query], answer: answer.voted) }
    }
    let map = PrincipalComponents(of: asked)
    var reader = try AttentionReader(network, side: network.architecture.imageSize)
    var (shown, seen): ([EvaluationPage.AskedPicture], [EvaluationPage.SeenPicture]) = ([], [])
    for query in chosen(of: answers) {
      guard let answer = answers[query] else { continue }
      let upright = network.configuration.exifOrientation
      let picture = try queries.selection.picture(query, upright: upright)
      let path = queries.selection.path(query)
      let neighbors = try answer.neighbors.prefix(Self.neighbors).map { neighbor in
        EvaluationPage.AskedPicture.Neighbor(
          path: bank.selection.path(neighbor.place),
          picture: thumbnail(try bank.selection.picture(neighbor.place, upright: upright)),
          label: bank.names[bank.classes[neighbor.place]], cosine: neighbor.cosine)
      }
      shown.append(
        EvaluationPage.AskedPicture(
          path: path, picture: thumbnail(picture), label: names[truth[query]], voted: names[answer.voted],
          neighbors: neighbors))
      let (square, attention) = try reader.read(picture, named: queries.selection.wholePath(query))
      seen.append(EvaluationPage.SeenPicture(path: path, square: square, attention: attention))
    }
    return EvaluationPage(
      title: title, facts: facts,
      figures: EvaluationPage.Figures(
        counts: counts, rows: rows.map { ($0.source.rawValue, $0.accuracies) }, bank: row.voters, queries: row.asked),
      confusion: confusion, neighbors: shown, map: map, classes: map.points.map { truth[$0.place] }, attention: seen,
      query: network.architecture.useMeanPooling ? .meanOfPatches : .classToken, included: included)
  }

  /// Evenly among those that were asked.
  private func chosen(of answers: [NearestNeighbors.Answer?]) -> [Int] {
    let asked = answers.indices.filter { answers[$0] != nil }
    let count = min(show, asked.count)
    return (0..<count).map { asked[$0 * asked.count / count] }
  }

  /// The middle, as large as it is shown; small pictures keep their pixels.
  private func thumbnail(_ picture: Picture) -> Picture {
    var resampler = Resampler()
    return resampler.square(of: picture, side: min(picture.width, picture.height, EvaluationPage.thumbnail))
  }
}
