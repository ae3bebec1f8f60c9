import HTTP
import Messages

/// Who may see the page: on loopback whoever is on this machine, elsewhere whoever says the token.
///
/// On loopback without a token a page of another site must not read ours by a name of its own that it turns to 127.0.0.1
/// (DNS rebinding): only requests for this machine's own names are answered. Elsewhere such a page lacks the token.
public struct PageAccess: Sendable {
  static let cookieName = "massl_page"
  /// A month, in seconds: a run lasts weeks.
  private static let cookieAge = 30 * 86_400

  private let token: AccessToken?
  private var attempts = Attempts()

  /// - Parameter token: nil only for a page that listens on loopback.
  public init(token: AccessToken?) { self.token = token }

  /// Why a request is not answered; nil if it is.
  /// - Parameter source: the address that it comes from.
  package mutating func refusal(
    of request: HTTPRequest, from source: String, at now: ContinuousClock.Instant
  ) -> HTTPResponse? {
    guard let token else { return Self.namesThisMachine(request) ? nil : Self.otherName }
    if request.query["token"] != nil {
      return HTTPResponse(
        400,
        sentence: "A token in a URL stays in histories and logs. Send it as 'Authorization: Bearer TOKEN', or type it "
          + "into the form. Change it now.")
    }
    if let cookie = Self.cookie(of: request), token.matches(cookie: cookie) { return nil }
    guard let words = request.header("authorization")?.split(separator: " "), words.count == 2,
      words[0].lowercased() == "bearer"
    else { return request.path == "/" ? LoginForm.response(saying: nil) : Self.unknown }
    return check(String(words[1]), from: source, at: now)
  }

  /// Answers what was typed into the form.
  package mutating func login(
    _ request: HTTPRequest, from source: String, at now: ContinuousClock.Instant
  ) -> HTTPResponse {
    guard let token else { return HTTPResponse(303, [("Location", "/")]) }
    let typed = HTTPRequest.fields(ofForm: String(decoding: request.body, as: UTF8.self))["token"] ?? ""
    if let refusal = check(typed, from: source, at: now) {
      return LoginForm.response(
        saying: refusal.status == 429 ? Self.tooMany : "This is not the token.",
        status: refusal.status)
    }
    return HTTPResponse(
      303,
      [
        ("Location", "/"),
        (
          "Set-Cookie",
          "\(Self.cookieName)=\(token.cookie); Max-Age=\(Self.cookieAge); Path=/; HttpOnly; SameSite=Strict"
        ),
      ])
  }

  /// - Returns: nil if it is the token.
  private mutating func check(
    _ text: String, from source: String, at now: ContinuousClock.Instant
  ) -> HTTPResponse? {
    if attempts.areTooMany(from: source, at: now) {
      return HTTPResponse(429, sentence: Self.tooMany, [("Retry-After", "60")])
    }
    if let token, token.matches(text) { return nil }
    attempts.count(from: source, at: now)
    return Self.unknown
  }

  private static let tooMany = "Too many wrong tokens came from here. Wait a minute."
  private static let unknown = HTTPResponse(
    401, sentence: "Say the token that the page was started with: Authorization: Bearer TOKEN.",
    [("WWW-Authenticate", "Bearer")])

  private static let otherName = HTTPResponse(
    421, sentence: "This page is for this machine alone: ask for it as localhost or 127.0.0.1.")

  private static func cookie(of request: HTTPRequest) -> String? {
    for part in (request.headers["cookie"] ?? []).flatMap({ $0.split(separator: ";") }) {
      let halves = part.split(separator: "=", maxSplits: 1)
      if halves.count == 2, halves[0].drop(while: { $0 == " " }) == cookieName { return String(halves[1]) }
    }
    return nil
  }

  /// Whether its Host is a name of this machine's loopback, with whatever port: it may come through a tunnel.
  private static func namesThisMachine(_ request: HTTPRequest) -> Bool {
    guard let host = request.header("host")?.lowercased() else { return false }
    let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } + "]" : host.prefix { $0 != ":" }
    return (try? Endpoint("tcp://\(name):80"))?.isLoopback ?? false
  }
}
