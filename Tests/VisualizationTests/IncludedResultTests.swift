import Foundation
import TestSupport
import Testing
import Visualization

@Suite struct IncludedResultTests {
  @Test(arguments: [
    ("words", "it is no JSON object"), ("[1]", "it is no JSON object"), ("", "it is no JSON object"),
    (String(repeating: "[", count: 4000), "it is no JSON object"),
    ("{\"a\":" + String(repeating: "[", count: 40) + String(repeating: "]", count: 40) + "}", "it is no JSON object"),
    ("{\"a\":\"" + String(repeating: "x", count: 1 << 20) + "\"}", "it is longer than 1 MiB"),
  ])
  func whatIsNoResultIsRefused(text: String, reason: String) throws {
    try withTemporaryDirectory { folder in
      let file = folder + "/r.json"
      try Data(text.utf8).write(to: URL(fileURLWithPath: file))
      #expect(throws: IncludedResult.Unreadable(file: file, reason: reason)) { try IncludedResult(file) }
      #expect(throws: IncludedResult.Unreadable(file: folder + "/no", reason: "it cannot be read")) {
        try IncludedResult(folder + "/no")
      }
    }
  }
}
