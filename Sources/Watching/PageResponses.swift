import HTTP
import Printing

/// Answers with the headers that all of the page's have: nothing is kept, framed, or taken for what it is not.
enum PageResponses {
  private static let common = [
    ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
  ]

  /// - Parameter text: with `NONCE` where its own style and script are named.
  static func html(_ text: String, status: Int = 200) -> HTTPResponse {
    let nonce = String(UInt64.random(in: 0 ... .max), radix: 36) + String(UInt64.random(in: 0 ... .max), radix: 36)
    let policy =
      "default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'nonce-\(nonce)'; connect-src 'self'; img-src data:; "
      + "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    return HTTPResponse(
      status, [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", policy)] + common,
      body: Array(text.replacing("NONCE", with: nonce).utf8))
  }

  /// A JSON text, escaped as `massl status --json` has it.
  static func json(_ text: String, status: Int = 200) -> HTTPResponse {
    HTTPResponse(status, [("Content-Type", "application/json")] + common, body: Array((text.printableJSON + "\n").utf8))
  }

  static func prometheus(_ text: String) -> HTTPResponse {
    HTTPResponse(200, [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")] + common, body: Array(text.utf8))
  }

  static func sentence(_ text: String, status: Int, _ headers: [(name: String, value: String)] = []) -> HTTPResponse {
    HTTPResponse(status, sentence: text, headers + common)
  }
}
