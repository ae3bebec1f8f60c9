import Foundation
import Testing

/// The times between the steps of a run: how long it stood still.
struct StepGaps: CustomStringConvertible {
  /// In seconds.
  private(set) var usual: [Double] = []
  /// Of them those above `long`: when they began and ended, in seconds since 1970.
  private(set) var holes: [ClosedRange<Double>] = []
  /// Those in which the coordinator was killed: nobody but its next start can end them.
  private(set) var ofDeaths: [Double] = []

  /// In seconds: what a run should never stand still for while its coordinator lives.
  static let long = 3.0

  init() {}

  /// - Parameters:
  ///   - records: of `metrics.jsonl`, in the order of steps.
  ///   - deaths: when the coordinator was killed, in seconds since 1970.
  init(records: String, deaths: [Double]) {
    struct Record: Decodable { let unixSeconds: Double }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let times = records.split(separator: "\n").compactMap {
      try? decoder.decode(Record.self, from: Data($0.utf8)).unixSeconds
    }
    for (begin, end) in zip(times, times.dropFirst()) {
      if deaths.contains(where: { begin <= $0 && $0 <= end }) {
        ofDeaths.append(end - begin)
      } else {
        if end - begin > Self.long { holes.append(begin...end) }
        usual.append(end - begin)
      }
    }
  }

  mutating func add(_ other: StepGaps) {
    usual += other.usual
    ofDeaths += other.ofDeaths
    holes += other.holes
  }

  /// Seconds beyond what as many median steps take, and all seconds.
  private var lost: (seconds: Double, of: Double) {
    let all = (usual + ofDeaths).sorted()
    let total = all.reduce(0, +)
    return (all.isEmpty ? 0 : total - Double(all.count) * all[(all.count - 1) / 2], total)
  }

  var description: String {
    "gaps between steps: \(Self.described(usual)); with the coordinator killed: \(Self.described(ofDeaths)); "
      + String(format: "lost %.0f of %.0f s", lost.seconds, lost.of)
  }

  private static func described(_ gaps: [Double]) -> String {
    guard !gaps.isEmpty else { return "none" }
    let sorted = gaps.sorted()
    // The least that so many parts in a hundred do not exceed.
    let seconds = [50, 90, 99, 100].map { percent in
      String(format: "%.2f s", sorted[(sorted.count * percent + 99) / 100 - 1])
    }
    return "\(sorted.count), median \(seconds[0]), 90 % \(seconds[1]), 99 % \(seconds[2]), longest \(seconds[3])"
  }
}

@Suite struct StepGapsTests {
  @Test func gapsOfADeadCoordinatorStandApart() {
    let times = [100.0, 100.5, 101, 109, 109.25]
    let records = times.enumerated().map { "{\"step\":\($0 + 1),\"unix_seconds\":\($1)}" }.joined(separator: "\n")
    var gaps = StepGaps(records: records, deaths: [104, 300])
    #expect(
      "\(gaps)"
        == "gaps between steps: 3, median 0.50 s, 90 % 0.50 s, 99 % 0.50 s, longest 0.50 s; with the coordinator killed: 1, "
        + "median 8.00 s, 90 % 8.00 s, 99 % 8.00 s, longest 8.00 s; lost 7 of 9 s")
    #expect(gaps.holes.isEmpty)
    gaps.add(StepGaps(records: records, deaths: []))
    #expect(gaps.usual.count == 7 && gaps.holes == [101...109] && gaps.ofDeaths == [8])
    #expect("\(StepGaps())" == "gaps between steps: none; with the coordinator killed: none; lost 0 of 0 s")
  }
}
