import Numerics

/// What a picture of the bank is to a query.
public enum Relevance: Sendable {
  case relevant, irrelevant
  /// Neither: it is taken out of the ranking.
  case junk
}

/// A query's ranking of a bank, as far as figures need it: where the relevant pictures stand.
public struct Ranking: Equatable, Sendable {
  /// From 0 on, rising; junk does not count.
  public let positions: [Int]

  public init(positions: [Int]) { self.positions = positions }

  /// - Parameters:
  ///   - similarities: one a picture of the bank: the largest stands first, of equal ones the first in the bank.
  ///   - relevance: of a picture of the bank.
  /// - Complexity: O(n log r) for r relevant ones among n.
  public init(_ similarities: UnsafeBufferPointer<Float>, _ relevance: (Int) -> Relevance) {
    // 1. The relevant ones in their order.
    func comes(_ one: Int, before other: Int) -> Bool {
      similarities[one] == similarities[other] ? one < other : similarities[one] > similarities[other]
    }
    var others: [Int] = []
    var relevant: [Int] = []
    for place in similarities.indices {
      switch relevance(place) {
      case .relevant: relevant.append(place)
      case .irrelevant: others.append(place)
      case .junk: break
      }
    }
    relevant.sort { comes($0, before: $1) }
    // 2. Each other one is before all of those from some one on.
    var before = [Int](repeating: 0, count: relevant.count + 1)
    for place in others {
      var (low, high) = (0, relevant.count)
      while low < high {
        let middle = (low + high) / 2
        if comes(place, before: relevant[middle]) { high = middle } else { low = middle + 1 }
      }
      before[low] += 1
    }
    var (positions, sum) = ([Int](), 0)
    for index in relevant.indices {
      sum += before[index]
      positions.append(index + sum)
    }
    self.positions = positions
  }

  /// The mean precision at the relevant ones: the area under a precision of steps. 0 if there are none.
  public var averagePrecision: Double {
    guard !positions.isEmpty else { return 0 }
    let sum = positions.enumerated().reduce(0) { $0 + Double($1.offset + 1) / Double($1.element + 1) }
    return sum / Double(positions.count)
  }

  /// The same by trapezoids, between the precision just before each relevant one and with it: as Oxford, Paris and
  /// Copydays are judged.
  /// - Parameter relevant: how many there are, ranked or not.
  public func trapezoidalAveragePrecision(relevant: Int) -> Double {
    let sum = positions.enumerated().reduce(0.0) { sum, next in
      let (found, position) = (Double(next.offset), Double(next.element))
      return sum + ((position == 0 ? 1 : found / position) + (found + 1) / (position + 1)) / 2
    }
    return relevant > 0 ? sum / Double(relevant) : 0
  }

  /// The share of relevant ones among the first k; among the first ones down to the last relevant one, where those are
  /// fewer. As revisited Oxford and Paris are judged.
  public func precision(at k: Int) -> Double {
    guard let last = positions.last else { return 0 }
    let first = min(last + 1, k)
    return Double(positions.count { $0 < first }) / Double(first)
  }
}

/// Means over queries.
public struct RetrievalFigures: Equatable, Sendable {
  public static let depths = [1, 5, 10]

  /// Queries that have something relevant in the bank.
  public private(set) var queries = 0
  /// Queries that have not: they are no part of the means.
  public private(set) var withoutRelevant = 0
  private var sumOfPrecisions = 0.0
  private var sumsAtDepths = [Double](repeating: 0, count: depths.count)

  public init() {}

  /// One query's.
  /// - Parameter averagePrecision: nil if nothing is relevant to it.
  mutating func add(_ ranking: Ranking, averagePrecision: Double?) {
    guard let averagePrecision else {
      withoutRelevant += 1
      return
    }
    queries += 1
    sumOfPrecisions += averagePrecision
    for (place, depth) in Self.depths.enumerated() { sumsAtDepths[place] += ranking.precision(at: depth) }
  }

  public var meanAveragePrecision: Double { sumOfPrecisions / Double(max(queries, 1)) }
  /// The mean precision at each of `depths`.
  public var meanPrecisions: [Double] { sumsAtDepths.map { $0 / Double(max(queries, 1)) } }
}
