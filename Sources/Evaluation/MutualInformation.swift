import Foundation

/// How well two ways to sort the same things into groups agree, whatever the groups are called.
///
/// Natural logarithms; information is normalised by the arithmetic mean of both entropies, as scikit-learn does. Sources:
/// Vinh, Epps and Bailey, "Information theoretic measures for clusterings comparison" (JMLR 2010).
public struct MutualInformation: Sendable {
  /// `counts[a][b]`: things in group a of the first and group b of the second.
  private let counts: [[Int]]
  private let total: Int
  private let ofFirst: [Int]
  private let ofSecond: [Int]

  /// - Parameters: a group's number for each thing, from 0 on.
  public init(_ first: [Int], _ second: [Int]) {
    precondition(first.count == second.count && !first.isEmpty)
    var counts = [[Int]](
      repeating: [Int](repeating: 0, count: (second.max() ?? 0) + 1), count: (first.max() ?? 0) + 1)
    for (a, b) in zip(first, second) { counts[a][b] += 1 }
    self.counts = counts
    total = first.count
    ofFirst = counts.map { $0.reduce(0, +) }
    ofSecond = counts[0].indices.map { column in counts.reduce(0) { $0 + $1[column] } }
  }

  /// In nats.
  public var information: Double {
    let all = Double(total)
    var sum = 0.0
    for (a, row) in counts.enumerated() {
      for (b, count) in row.enumerated() where count > 0 {
        sum += Double(count) / all * log(Double(count) * all / (Double(ofFirst[a]) * Double(ofSecond[b])))
      }
    }
    return max(0, sum)
  }

  /// 0 for groupings that know nothing of one another, 1 for equal ones.
  public var normalized: Double {
    if isTrivial { return 1 }
    let mean = meanEntropy
    return mean > 0 ? information / mean : 0
  }

  /// The same less what chance would give: 0 on average for random groupings.
  /// - Complexity: O(groups of the first * groups of the second * things of a group).
  public var adjusted: Double {
    if isTrivial { return 1 }
    let expected = expectedInformation
    let room = meanEntropy - expected
    // As scikit-learn does, so that the sign is kept where both are all but equal.
    let least = Double.ulpOfOne
    return (information - expected) / (room < 0 ? min(room, -least) : max(room, least))
  }

  /// Both have one group, which is the same.
  private var isTrivial: Bool { ofFirst.count { $0 > 0 } == 1 && ofSecond.count { $0 > 0 } == 1 }

  private var meanEntropy: Double { (entropy(ofFirst) + entropy(ofSecond)) / 2 }

  private func entropy(_ sizes: [Int]) -> Double {
    sizes.filter { $0 > 0 }.reduce(0) { $0 - Double($1) / Double(total) * log(Double($1) / Double(total)) }
  }

  /// The mean over all ways to deal the things into groups of these sizes (the paper's equation 24a).
  private var expectedInformation: Double {
    var logFactorials = [0.0]
    logFactorials.reserveCapacity(total + 1)
    for number in 1...total { logFactorials.append(logFactorials[number - 1] + log(Double(number))) }
    let all = Double(total)
    var sum = 0.0
    for a in ofFirst where a > 0 {
      for b in ofSecond where b > 0 {
        let fixed =
          logFactorials[a] + logFactorials[b] + logFactorials[total - a] + logFactorials[total - b]
          - logFactorials[total]
        for both in stride(from: max(1, a + b - total), through: min(a, b), by: 1) {
          let chance =
            fixed - logFactorials[both] - logFactorials[a - both] - logFactorials[b - both]
            - logFactorials[total - a - b + both]
          sum += Double(both) / all * log(all * Double(both) / (Double(a) * Double(b))) * exp(chance)
        }
      }
    }
    return sum
  }

  /// The share of things that agree once each group of the first is called by one group of the second, in the best way.
  public var accuracy: Double {
    // Of two partitions the smaller one calls the other's groups: with thousands of groups a square has no end.
    let costs =
      ofFirst.count <= ofSecond.count
      ? counts.map { $0.map(-) } : ofSecond.indices.map { b in counts.map { -$0[b] } }
    return Double(-leastAssignment(costs).cost) / Double(total)
  }
}

/// Gives each row a column of its own so that the sum of their costs is least: the Hungarian method.
/// - Parameter costs: at least as many columns as rows.
/// - Returns: each row's column, and the sum.
/// - Complexity: O(rows² columns).
func leastAssignment(_ costs: [[Int]]) -> (columns: [Int], cost: Int) {
  let (rows, size) = (costs.count, costs.first?.count ?? 0)
  // Rows and columns from 1 on; 0 stands for none. Potentials keep every reduced cost at 0 or more.
  var (ofRow, ofColumn) = ([Int](repeating: 0, count: rows + 1), [Int](repeating: 0, count: size + 1))
  var (row, before) = ([Int](repeating: 0, count: size + 1), [Int](repeating: 0, count: size + 1))
  for next in stride(from: 1, through: rows, by: 1) {
    row[0] = next
    var column = 0
    var least = [Int](repeating: .max, count: size + 1)
    var isDone = [Bool](repeating: false, count: size + 1)
    repeat {
      isDone[column] = true
      let current = row[column]
      var (step, nearest) = (Int.max, 0)
      for other in 1...size where !isDone[other] {
        let reduced = costs[current - 1][other - 1] - ofRow[current] - ofColumn[other]
        if reduced < least[other] { (least[other], before[other]) = (reduced, column) }
        if least[other] < step { (step, nearest) = (least[other], other) }
      }
      for other in 0...size {
        if isDone[other] {
          ofRow[row[other]] += step
          ofColumn[other] -= step
        } else {
          least[other] -= step
        }
      }
      column = nearest
    } while row[column] != 0
    repeat {
      row[column] = row[before[column]]
      column = before[column]
    } while column != 0
  }
  var columns = [Int](repeating: 0, count: rows)
  for column in stride(from: 1, through: size, by: 1) where row[column] != 0 { columns[row[column] - 1] = column - 1 }
  return (columns, columns.indices.reduce(0) { $0 + costs[$1][columns[$1]] })
}
