import Numerics

/// The k-NN classifier where each picture is asked, and all others vote.
/// - Parameters:
///   - features: `[n, width]`, rows of unit length.
///   - classes: one a row, from 0; nil for a picture without one, which is neither asked nor votes.
///   - neighbors: k, that vote.
/// - Returns: how many got their own class, and how many were asked: none where fewer than two have a class.
/// - Complexity: 2 · n² · width flops.
public func leaveOneOut(_ features: Matrix, classes: [Int?], neighbors k: Int = 20) -> (right: Int, asked: Int) {
  invariant(features.rows == classes.count, "\(features.rows) features of \(classes.count) pictures")
  let places = classes.indices.filter { classes[$0] != nil }
  guard places.count > 1 else { return (0, 0) }
  let names = Set(classes.compactMap(\.self)).sorted()
  let index = Dictionary(uniqueKeysWithValues: zip(names, names.indices))
  let truth = places.map { index[classes[$0] ?? 0] ?? 0 }
  let known = FloatBuffer(count: places.count * features.columns).matrix(
    rows: places.count, columns: features.columns)
  for (row, place) in places.enumerated() { copy(features.rows(place..<place + 1), into: known.rows(row..<row + 1)) }

  let judge = NearestNeighbors(counts: [k], classes: truth, classCount: names.count)
  var score = NearestNeighbors.Score(counts: 1)
  let together = NearestNeighbors.queriesTogether
  let memory = FloatBuffer(count: together * places.count)
  for first in stride(from: 0, to: places.count, by: together) {
    let queries = first..<min(first + together, places.count)
    let similarities = memory.matrix(rows: queries.count, columns: places.count)
    multiply(known.rows(queries), .asIs, known, .transposed, into: similarities)
    for query in queries {
      var nearest = Nearest(atMost: judge.kept)
      nearest.offer(similarities.row(at: query - first), from: 0) { $0 != query }
      judge.add(nearest, truth: truth[query], to: &score)
    }
  }
  return (score.right[0], score.asked)
}
