/// The page as one file, put together from what is embedded in the program.
///
/// Marks are `NONCE`, which the answer to each request replaces by a number of its own, so that a browser runs and shows
/// nothing but what is in the file.
enum PageFile {
  static let page = text(PackageResources.page_html)
    .replacing("/*STYLE*/", with: style)
    .replacing(
      "/*SCRIPT*/",
      with: [
        PackageResources.format_js, PackageResources.chart_js, PackageResources.tables_js, PackageResources.page_js,
      ]
      .map(text).joined(separator: "\n"))
  static let login = text(PackageResources.login_html).replacing("/*STYLE*/", with: style)

  private static let style = text(PackageResources.page_css)

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
