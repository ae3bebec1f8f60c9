import HTTP

/// The form into which a browser's user types the token: it works without scripts.
enum LoginForm {
  /// - Parameter remark: what was wrong with the last attempt.
  static func response(saying remark: String?, status: Int = 401) -> HTTPResponse {
    PageResponses.html(
      PageFile.login.replacing("<!--REMARK-->", with: remark.map { "<p role=\"alert\">\($0)</p>" } ?? ""),
      status: status)
  }
}
