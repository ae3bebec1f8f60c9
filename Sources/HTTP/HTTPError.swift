/// Why a request is not answered, but with a sentence; the connection is closed after it.
public enum HTTPError: Error, Equatable, Sendable {
  case malformed(String)
  case headTooLarge
  case bodyTooLarge
  case unsupportedVersion
  case unsupportedCoding
  case tooSlow

  public var status: Int {
    switch self {
    case .malformed: 400
    case .headTooLarge: 431
    case .bodyTooLarge: 413
    case .unsupportedVersion: 505
    case .unsupportedCoding: 501
    case .tooSlow: 408
    }
  }
}

extension HTTPError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .malformed(let problem): "This is no HTTP request: \(problem)."
    case .headTooLarge:
      "The request's headers have more than \(HTTPLimits.head) bytes, or are more than \(HTTPLimits.headers)."
    case .bodyTooLarge: "The request's body has more than \(HTTPLimits.body) bytes."
    case .unsupportedVersion: "Ask in HTTP/1.1 or HTTP/1.0."
    case .unsupportedCoding: "Send the body with a Content-Length, not with a Transfer-Encoding."
    case .tooSlow: "The request was not whole after \(HTTPLimits.request.components.seconds) s."
    }
  }
}
