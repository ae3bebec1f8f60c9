import Foundation
import HTTP

/// What is answered to whom: the page, what it asks for, Prometheus and health.
///
///     var page = PageService(watcher, access: PageAccess(token: nil))
///     server.run { request, source in page.answer(request, from: source, at: .now) }
public struct PageService {
  private let watcher: RunWatcher
  private let contents: PageContents
  private var access: PageAccess
  private var kept = KeptAnswers()

  public init(_ watcher: RunWatcher, access: PageAccess) {
    self.watcher = watcher
    contents = PageContents(watcher: watcher)
    self.access = access
  }

  /// - Parameter source: the address that the request comes from.
  public mutating func answer(
    _ request: HTTPRequest, from source: String, at now: ContinuousClock.Instant
  ) -> HTTPResponse {
    if request.method == "POST", request.path == "/login" { return access.login(request, from: source, at: now) }
    if let refusal = access.refusal(of: request, from: source, at: now) { return refusal }
    guard request.method == "GET" else {
      return PageResponses.sentence("This page is only read: ask with GET.", status: 405, [("Allow", "GET")])
    }
    watcher.touch()
    // Each browser's page has a nonce of its own.
    if request.path == "/" { return PageResponses.html(PageFile.page) }
    return kept.answer(to: request, at: now) { [contents] in contents.answer(to: request) }
  }
}

/// What is known of the run now, in the forms that are asked for.
private struct PageContents {
  let watcher: RunWatcher

  func answer(to request: HTTPRequest) -> HTTPResponse {
    switch request.path {
    case "/api/status": return status
    case "/api/run": return document
    case "/api/history": return history(request.query)
    case "/metrics":
      let run = watcher.observation
      return PageResponses.prometheus(RunMetrics.text(run, Verdict(of: run)))
    case "/healthz":
      let verdict = Verdict(of: watcher.observation)
      return PageResponses.sentence("\(verdict.state.rawValue): \(verdict.text)", status: verdict.isHealthy ? 200 : 503)
    default:
      return PageResponses.sentence(
        "Nothing is here. There are /, /api/status, /api/run, /api/history, /metrics and /healthz.", status: 404)
    }
  }

  /// The document of `massl status --json`.
  private var status: HTTPResponse {
    let run = watcher.observation
    guard let status = run.status else { return PageResponses.sentence(Verdict(of: run).text, status: 503) }
    return PageResponses.json(status.json())
  }

  private var document: HTTPResponse {
    let run = watcher.observation
    let files = watcher.fileViews
    let document = RunDocument(
      name: URL(fileURLWithPath: watcher.run ?? "").lastPathComponent, run: run,
      checkpoints: files.checkpoints, log: files.log, blockSize: files.blockSize)
    return PageResponses.json(document.json(status: run.status?.json(), record: run.record?.json()))
  }

  /// `window=whole`, `newest` or `evaluations`; `since=STEP&key=KEY` for what came since, where the key still holds.
  private func history(_ query: [String: String]) -> HTTPResponse {
    guard let window = ["whole", "newest", "evaluations"].first(where: { $0 == query["window"] ?? "whole" }) else {
      return PageResponses.sentence("The window is 'whole', 'newest' or 'evaluations'.", status: 400)
    }
    let text = watcher.withHistory(ofEvaluations: window == "evaluations") { metrics in
      let history = window == "newest" ? metrics.newest : metrics.sample ?? metrics.whole
      let key = "\(metrics.generation).\(metrics.sample == nil ? "all" : "some").\(history.span)"
      return HistoryDocument.json(
        history, since: query["key"] == key ? query["since"].flatMap { Int($0) } ?? 0 : 0, key: key,
        unreadableLines: metrics.unreadableLines,
        shareRead: metrics.size == 0 ? 1 : Double(metrics.bytesRead) / Double(metrics.size))
    }
    return PageResponses.json(text)
  }
}
