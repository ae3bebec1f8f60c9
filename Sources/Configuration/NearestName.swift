/// The name that was probably meant by a mistyped one.
///
/// Distance is the number of characters inserted, removed, changed, or swapped with their neighbour; dashes and
/// underscores count as equal, and so do cases. Of equally near names the first wins.
/// - Returns: nil when every name differs from `typed` in more than two characters and a third of them, or in more
///   than one of three or fewer.
/// - Complexity: O(names · length²).
public func nearestName(to typed: String, among names: [String]) -> String? {
  let wanted = letters(typed)
  let limit = wanted.count > 3 ? max(2, wanted.count / 3) : 1
  var best: (name: String, distance: Int)?
  for name in names {
    let distance = editDistance(wanted, letters(name))
    if distance <= limit, distance < best?.distance ?? Int.max { best = (name, distance) }
  }
  return best?.name
}

private func letters(_ name: String) -> [Character] {
  name.lowercased().map { $0 == "_" ? "-" : $0 }
}

/// Optimal string alignment: Levenshtein's distance with swaps of neighbours.
private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
  var beforeLast: [Int] = []
  var last = Array(0...b.count)
  for i in a.indices {
    var row = [i + 1]
    for j in b.indices {
      var distance = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { distance = min(distance, beforeLast[j - 1] + 1) }
      row.append(distance)
    }
    (beforeLast, last) = (last, row)
  }
  return last[b.count]
}
