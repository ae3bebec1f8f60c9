import Foundation
import HTTP
import TestSupport
import Testing
import Watching

@Suite("Who may see the page")
struct PageAccessTests {
  private static let secret = "0123456789abcdef"
  private let now = ContinuousClock.now

  private func withToken(_ text: String, mode: Int = 0o600, _ body: (String) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let path = "\(folder)/token"
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
      try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
      try body(path)
    }
  }

  private func request(
    _ headers: [String: [String]], path: String = "/api/run", query: [String: String] = [:]
  ) -> HTTPRequest {
    HTTPRequest(method: "GET", path: path, query: query, headers: headers)
  }

  private func login(_ token: String) -> HTTPRequest {
    HTTPRequest(method: "POST", path: "/login", body: Array("token=\(token)".utf8))
  }

  @Test(arguments: [
    ("localhost:5580", true), ("127.0.0.1:5580", true), ("[::1]:5580", true), ("LOCALHOST", true), ("127.0.0.1", true),
    ("evil.example:5580", false), ("127.0.0.1.evil.example", false), ("localhost.evil.example:5580", false),
    ("10.0.0.1:5580", false), ("", false),
  ])
  func onLoopbackOnlyItsOwnNamesAreAnswered(host: String, isAnswered: Bool) {
    var access = PageAccess(token: nil)
    let refusal = access.refusal(of: request(["host": [host]]), from: "127.0.0.1", at: now)
    #expect(refusal?.status == (isAnswered ? nil : 421))
  }

  @Test func withoutTheTokenThereIsAFormAndNothingElse() throws {
    try withToken(Self.secret + "\n") { path in
      var access = PageAccess(token: try AccessToken(file: path))
      let refused = access.refusal(of: request([:]), from: "a", at: now)
      #expect(refused?.status == 401)
      let form = access.refusal(of: request([:], path: "/"), from: "a", at: now)
      #expect(form?.status == 401)
      let text = String(decoding: form?.body ?? [], as: UTF8.self)
      #expect(text.contains("<form method=\"post\" action=\"/login\">"))
      func status(_ words: String) -> Int? {
        access.refusal(of: request(["authorization": [words]]), from: "a", at: now)?.status
      }
      #expect(status("Bearer \(Self.secret)") == nil)
      #expect(status("Bearer \(Self.secret)x") == 401)
      #expect(status("Basic \(Self.secret)") == 401)
    }
  }

  @Test func theFormGivesACookieThatIsNotTheToken() throws {
    try withToken(Self.secret) { path in
      var access = PageAccess(token: try AccessToken(file: path))
      let answer = access.login(login(Self.secret), from: "a", at: now)
      #expect(answer.status == 303)
      let cookie = try #require(answer.headers.first { $0.name == "Set-Cookie" }?.value)
      #expect(cookie.contains("; HttpOnly; SameSite=Strict"))
      #expect(!cookie.contains(Self.secret))
      let pair = String(cookie.prefix { $0 != ";" })
      #expect(access.refusal(of: request(["cookie": ["other=1; \(pair)"]]), from: "a", at: now) == nil)
      #expect(access.refusal(of: request(["cookie": ["\(pair)0"]]), from: "a", at: now)?.status == 401)
      // The page's process may be another by then.
      var later = PageAccess(token: try AccessToken(file: path))
      #expect(later.refusal(of: request(["cookie": [pair]]), from: "a", at: now) == nil)
    }
  }

  @Test func aTokenInAURLIsNotTaken() throws {
    try withToken(Self.secret) { path in
      var access = PageAccess(token: try AccessToken(file: path))
      let asked = request([:], path: "/", query: ["token": Self.secret])
      let refusal = access.refusal(of: asked, from: "a", at: now)
      #expect(refusal?.status == 400)
      let text = String(decoding: refusal?.body ?? [], as: UTF8.self)
      #expect(!text.contains(Self.secret))
    }
  }

  @Test func wrongTokensOfAnAddressAreBounded() throws {
    try withToken(Self.secret) { path in
      var access = PageAccess(token: try AccessToken(file: path))
      let wrong = (0..<100).map { _ in access.login(login("guess"), from: "a", at: now).status }
      #expect(wrong.prefix { $0 == 401 }.count == 8)
      #expect(wrong.last == 429)
      // The right one too, from there, for a while; from elsewhere at once.
      #expect(access.login(login(Self.secret), from: "a", at: now).status == 429)
      #expect(access.login(login(Self.secret), from: "b", at: now).status == 303)
      #expect(access.login(login(Self.secret), from: "a", at: now + .seconds(60)).status == 303)
    }
  }

  @Test func aTokenFileThatIsNoneSaysSo() throws {
    func problem(_ text: String, mode: Int = 0o600) throws -> String {
      var said = ""
      try withToken(text, mode: mode) { path in
        do { _ = try AccessToken(file: path) } catch { said = "\(error)" }
      }
      return said
    }
    #expect(try problem(Self.secret, mode: 0o644).contains("chmod 600"))
    #expect(try problem("short").contains("16 to 512"))
    #expect(try problem("").contains("head -c 24 /dev/urandom | base64"))
    #expect(try problem("a secret with spaces in it").contains("its first line is not"))
    #expect(throws: PageError.self) { try AccessToken(file: "/nowhere/token") }
  }
}
