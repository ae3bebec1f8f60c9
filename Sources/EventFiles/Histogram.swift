/// How many of some numbers lie where: equal buckets from the least to the largest.
public struct Histogram: Sendable, Equatable {
  /// As many as TensorFlow's own summaries have.
  public static let buckets = 30

  public private(set) var least = 0.0
  public private(set) var largest = 0.0
  /// Finite numbers; others are left out.
  public private(set) var count = 0
  public private(set) var sum = 0.0
  public private(set) var sumOfSquares = 0.0
  /// The right edge of each bucket, and the numbers in it: those up to its edge that are beyond the one before.
  public private(set) var limits: [Double] = []
  public private(set) var counts: [Int] = []

  /// - Complexity: passes twice over the values.
  public init(of values: [Float]) {
    (least, largest) = (Double.infinity, -Double.infinity)
    for value in values where value.isFinite {
      let value = Double(value)
      least = min(least, value)
      largest = max(largest, value)
      sum += value
      sumOfSquares += value * value
      count += 1
    }
    guard count > 0 else {
      (least, largest) = (0, 0)
      return
    }
    let span = largest - least
    guard span > 0 else {
      (limits, counts) = ([largest], [count])
      return
    }
    limits = (1...Self.buckets).map { least + span * Double($0) / Double(Self.buckets) }
    limits[Self.buckets - 1] = largest
    counts = [Int](repeating: 0, count: Self.buckets)
    let scale = Double(Self.buckets) / span
    for value in values where value.isFinite {
      counts[min(Self.buckets - 1, Int((Double(value) - least) * scale))] += 1
    }
  }
}
