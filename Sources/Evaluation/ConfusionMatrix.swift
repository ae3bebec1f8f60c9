/// How often pictures of each class were taken for each.
public struct ConfusionMatrix: Equatable, Sendable {
  /// In the order of `counts`.
  public let names: [String]
  /// `counts[truth][answer]`.
  public private(set) var counts: [[Int]]

  public init(names: [String]) {
    self.names = names
    counts = names.map { _ in [Int](repeating: 0, count: names.count) }
  }

  public mutating func add(truth: Int, answer: Int) { counts[truth][answer] += 1 }

  public var asked: Int { counts.reduce(0) { $0 + $1.reduce(0, +) } }
  public var right: Int { counts.indices.reduce(0) { $0 + counts[$1][$1] } }

  /// Classes and what they are most often taken for, the most frequent first; of equally frequent ones the first.
  public func confusions(atMost limit: Int) -> [(truth: Int, answer: Int, count: Int)] {
    let all = counts.indices.flatMap { truth in
      counts.indices.filter { $0 != truth && counts[truth][$0] > 0 }.map { (truth, $0, counts[truth][$0]) }
    }
    return Array(all.sorted { ($1.2, $0.0, $0.1) < ($0.2, $1.0, $1.1) }.prefix(limit))
  }
}
