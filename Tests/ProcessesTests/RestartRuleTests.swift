import Processes
import Testing

struct RestartRuleTests {
  @Test(arguments: [0, 64, 65] as [Int32])
  func whatWouldEndInTheSameWayStays(code: Int32) {
    var rule = RestartRule()
    #expect(rule.decide(.code(code), after: 1) == .stays(code: code))
  }

  @Test func othersComeBackLaterAndLater() {
    var rule = RestartRule()
    let ends: [ProcessEnd] = [.code(75), .signal(9), .code(1), .signal(11), .code(75), .code(75), .code(75), .code(75)]
    let pauses = ends.map { rule.decide($0, after: 3) }
    #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60].map { .starts(afterSeconds: $0) })
    // One that lived for a while had got somewhere.
    #expect(rule.decide(.signal(9), after: 61) == .starts(afterSeconds: 1))
    #expect(rule.decide(.signal(9), after: 0) == .starts(afterSeconds: 2))
  }
}
