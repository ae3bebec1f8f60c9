import HTTP
import Testing
import Watching

@Suite("What many browsers ask is answered once a moment") struct KeptAnswersTests {
  private let now = ContinuousClock.now

  private func request(_ path: String, _ query: [String: String] = [:]) -> HTTPRequest {
    HTTPRequest(method: "GET", path: path, query: query)
  }

  @Test func theSameIsMadeOnceAMoment() {
    var kept = KeptAnswers()
    var made = 0
    func ask(_ request: HTTPRequest, after seconds: Double) -> HTTPResponse {
      kept.answer(to: request, at: now + .seconds(seconds)) {
        made += 1
        return HTTPResponse(200, sentence: "\(made)")
      }
    }
    let first = ask(request("/api/run"), after: 0)
    #expect(ask(request("/api/run"), after: 0.9) == first && made == 1)
    #expect(ask(request("/api/status"), after: 0.9) != first && made == 2)
    #expect(ask(request("/api/run", ["since": "7"]), after: 0.9) != first && made == 3)
    let second = ask(request("/api/run"), after: 1)
    #expect(second != first && made == 4)
    // A moment begins when an answer is made, not when it is asked for.
    #expect(ask(request("/api/run"), after: 1.9) == second && made == 4)
    #expect(ask(request("/api/run"), after: 2) != second && made == 5)
  }

  @Test func whoAsksForEverSomethingElseTakesNoMemory() {
    var kept = KeptAnswers()
    var made = 0
    func ask(_ number: Int, after seconds: Double) {
      _ = kept.answer(to: request("/api/history", ["since": "\(number)"]), at: now + .seconds(seconds)) {
        made += 1
        return HTTPResponse(200)
      }
    }
    for number in 0..<100 { ask(number, after: 0) }
    #expect(made == 100)
    for number in 0..<100 { ask(number, after: 0.5) }
    #expect(made == 200 - KeptAnswers.atMost, "so many are kept, and no more")
    // They are let go of, and there is room for others.
    ask(200, after: 1)
    ask(200, after: 1.5)
    #expect(made == 201 - KeptAnswers.atMost)
  }
}
