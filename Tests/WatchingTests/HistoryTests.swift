import Testing
import Watching

@Suite("A run's history takes constant memory, and hides no peak")
struct HistoryTests {
  private func values(loss: Double) -> [Double] {
    Metric.allCases.map { $0 == .loss ? loss : .nan }
  }

  @Test(arguments: [1, 7, 8, 9, 100, 4096, 100_000])
  func everyStepIsInOneBucket(steps: Int) {
    var history = History(capacity: 8)
    for step in 1...steps { history.add(step: step, values(loss: Double(step))) }
    #expect(history.buckets.count <= 8)
    #expect(history.buckets.count > 3 || steps < 4)
    #expect(history.buckets.first?.firstStep == 1)
    #expect(history.buckets.last?.lastStep == steps)
    for (bucket, next) in zip(history.buckets, history.buckets.dropFirst()) {
      #expect(next.firstStep == bucket.lastStep + 1)
    }
    for bucket in history.buckets {
      #expect(bucket[.loss].count == bucket.lastStep - bucket.firstStep + 1)
      #expect(bucket[.loss].least == Double(bucket.firstStep))
      #expect(bucket[.loss].largest == Double(bucket.lastStep))
      #expect(bucket[.loss].mean == Double(bucket.firstStep + bucket.lastStep) / 2)
      #expect(bucket[.lr].mean == nil)
    }
  }

  @Test func aPeakOfOneStepIsSeen() {
    var history = History(capacity: 8)
    for step in 1...10_000 { history.add(step: step, values(loss: step == 1234 ? 99 : 1)) }
    #expect(history.buckets.filter { $0[.loss].largest == 99 }.count == 1)
    #expect(history.buckets.allSatisfy { $0[.loss].least == 1 })
  }

  @Test func stepsThatAreFarApartOrCameBeforeDoNoHarm() {
    var history = History(capacity: 8)
    for step in [1, 1 << 40, 5, Int.max, 1 << 41] { history.add(step: step, values(loss: 1)) }
    #expect(history.buckets.map(\.firstStep) == [1, 1 << 40, .max])
    for step in 1...9 { history.add(step: step, values(loss: 1)) }
    #expect(history.buckets.count == 3)
  }

  @Test func theNewestStepsAreKeptEachByItself() {
    var history = History(capacity: 100, newestOnly: true)
    for step in 1...1000 { history.add(step: step, values(loss: Double(step))) }
    #expect(history.span == 1)
    #expect((75...100).contains(history.buckets.count))
    #expect(history.buckets.last?[.loss].mean == 1000)
    #expect(history.buckets.map(\.firstStep) == Array((1001 - history.buckets.count)...1000))
  }
}
