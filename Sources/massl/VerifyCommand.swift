import ArgumentParser
import Foundation
import Verification

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Replays golden cases and prints the largest differences from the reference.",
    discussion: """
      Each case is a JSON file with its tensors beside it in a .safetensors file. Its kind (training, augmentation, \
      schedules) is told from its contents. Exit code 1 if any quantity is over its bound.
      """)

  @Argument(help: "JSON files of golden cases.")
  var cases: [String]

  func run() throws {
    var over = 0
    for path in cases {
      let comparisons: [GoldenCase.Comparison]
      do { comparisons = try GoldenCase.replay(path) } catch {
        throw ValidationError("\(error)")
      }
      print(path)
      for comparison in comparisons {
        let verdict = comparison.isWithin ? "ok" : "OVER"
        print(
          "  " + comparison.quantity.padding(toLength: 32, withPad: " ", startingAt: 0)
            + String(format: " %.3e  bound %.3e  ", comparison.difference, comparison.bound) + verdict)
        if !comparison.isWithin { over += 1 }
      }
    }
    guard over == 0 else {
      print("\(over) quantities are over their bounds.")
      throw ExitCode(1)
    }
  }
}
