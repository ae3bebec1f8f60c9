import Foundation
import Testing
import Verification

@Suite struct GoldenCaseTests {
  @Test func aMissingFileIsNamed() {
    #expect(throws: VerificationError.unreadable("/nowhere/case.json")) { try GoldenCase.replay("/nowhere/case.json") }
  }

  @Test func whatIsNoCaseIsSaidSo() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("text-\(UUID()).json").path
    try Data("[1]".utf8).write(to: URL(fileURLWithPath: path))
    #expect(throws: VerificationError.notACase(path, problem: "it is not a JSON object")) {
      try GoldenCase.replay(path)
    }
  }

  @Test func aDifferenceThatIsNoNumberIsOverEveryBound() {
    #expect(!GoldenCase.Comparison(quantity: "loss", difference: .nan, bound: 1).isWithin)
    #expect(GoldenCase.Comparison(quantity: "loss", difference: 1, bound: 1).isWithin)
  }
}
