/// The figures of a whole run in constant memory: at most `capacity` buckets of as many steps each.
///
///     history.add(step: 17, values)          // in the order of the steps
///
/// A bucket keeps least, mean and largest value of each figure. When there would be too many of them, each two become one
/// of twice the span. So a run of a million steps has 512 buckets of 2,048 steps, and a peak of one step is still seen.
public struct History: Sendable, Equatable {
  /// Buckets at most: about one for each second pixel of a wide chart.
  public static let capacity = 800

  /// What a bucket says of one figure.
  public struct Summary: Sendable, Equatable {
    /// Steps of the bucket that have the figure; the rest is only of meaning if there is one.
    public private(set) var count = 0
    public private(set) var least = 0.0
    public private(set) var largest = 0.0
    private var sum = 0.0

    public var mean: Double? { count == 0 ? nil : sum / Double(count) }

    mutating func add(_ value: Double) {
      guard value.isFinite else { return }
      merge(Summary(count: 1, least: value, largest: value, sum: value))
    }

    mutating func merge(_ other: Summary) {
      guard other.count > 0 else { return }
      least = count == 0 ? other.least : min(least, other.least)
      largest = count == 0 ? other.largest : max(largest, other.largest)
      sum += other.sum
      count += other.count
    }

    init() {}

    private init(count: Int, least: Double, largest: Double, sum: Double) {
      (self.count, self.least, self.largest, self.sum) = (count, least, largest, sum)
    }
  }

  public struct Bucket: Sendable, Equatable {
    public fileprivate(set) var firstStep: Int
    public fileprivate(set) var lastStep: Int
    /// By `Metric.index`.
    fileprivate var summaries = [Summary](repeating: Summary(), count: Metric.count)

    public subscript(metric: Metric) -> Summary { summaries[metric.index] }
  }

  /// Steps that a bucket spans; a power of two.
  public private(set) var span = 1
  /// In the order of the steps, from 1 on; a bucket without a step is left out.
  public private(set) var buckets: [Bucket] = []
  private let capacity: Int
  private let merges: Bool

  /// - Parameter newestOnly: to keep the newest `capacity` steps, each by itself, instead of all.
  public init(capacity: Int = History.capacity, newestOnly: Bool = false) {
    self.capacity = capacity
    merges = !newestOnly
  }

  public var lastStep: Int? { buckets.last?.lastStep }

  /// - Parameters:
  ///   - step: one beyond the last; others are left out, as a line that came twice.
  ///   - values: by `Metric.index`; NaN for what is not known.
  /// - Complexity: O(figures), now and then O(capacity).
  package mutating func add(step: Int, _ values: [Double]) {
    guard step > lastStep ?? 0 else { return }
    if let last = buckets.indices.last, place(of: buckets[last].firstStep) == place(of: step) {
      buckets[last].lastStep = step
    } else {
      if buckets.count == capacity { makeRoom() }
      if let last = buckets.indices.last, place(of: buckets[last].firstStep) == place(of: step) {
        buckets[last].lastStep = step
      } else {
        buckets.append(Bucket(firstStep: step, lastStep: step))
      }
    }
    let last = buckets.count - 1
    for index in values.indices { buckets[last].summaries[index].add(values[index]) }
  }

  private func place(of step: Int) -> Int { (step - 1) / span }

  private mutating func makeRoom() {
    // A quarter at once, for an array's front is dear to remove.
    guard merges else { return buckets.removeFirst((capacity + 3) / 4) }
    while buckets.count == capacity {
      span *= 2
      var merged: [Bucket] = []
      merged.reserveCapacity(capacity)
      for bucket in buckets {
        guard let last = merged.indices.last, place(of: merged[last].firstStep) == place(of: bucket.firstStep) else {
          merged.append(bucket)
          continue
        }
        merged[last].lastStep = bucket.lastStep
        for index in 0..<Metric.count { merged[last].summaries[index].merge(bucket.summaries[index]) }
      }
      buckets = merged
    }
  }
}
