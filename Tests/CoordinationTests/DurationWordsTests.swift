import Coordination
import Testing

struct DurationWordsTests {
  @Test(arguments: [
    (0, "0 s"), (99, "0 s"), (100, "0.1 s"), (2_000, "2 s"), (8_121, "8.1 s"), (9_999, "9.9 s"), (10_000, "10 s"),
    (10_999, "10 s"), (600_000, "600 s"),
  ])
  func aDurationHasOneForm(milliseconds: Int, words: String) {
    #expect(Duration.milliseconds(milliseconds).words == words)
  }
}
