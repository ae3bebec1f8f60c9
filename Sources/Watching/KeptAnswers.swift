import HTTP

/// What was answered a moment ago, for whoever asks the same: a crowd of browsers costs what one of them does.
///
///     var kept = KeptAnswers()
///     kept.answer(to: request, at: .now) { ... }      // the closure is called once a moment
package struct KeptAnswers {
  /// The run is looked at no more often.
  package static let moment = Duration.seconds(1)
  /// Of different requests. Browsers that show the same ask the same; a history that begins elsewhere is another one.
  package static let atMost = 16

  private struct Question: Hashable {
    let path: String
    let query: [String: String]
  }

  private var answers: [Question: (made: ContinuousClock.Instant, response: HTTPResponse)] = [:]

  package init() {}

  /// The answer to the same request of a moment ago, else a new one, which is kept.
  /// - Parameter make: depends on the request's path and query alone, and on when it is called.
  package mutating func answer(
    to request: HTTPRequest, at now: ContinuousClock.Instant, _ make: () -> HTTPResponse
  ) -> HTTPResponse {
    let question = Question(path: request.path, query: request.query)
    if let kept = answers[question], now - kept.made < Self.moment { return kept.response }
    answers = answers.filter { now - $0.value.made < Self.moment }
    let response = make()
    if answers.count < Self.atMost { answers[question] = (now, response) }
    return response
  }
}
