import ArgumentParser
import Foundation
import Machine
import Telemetry
import Verification

/// `massl verify`: golden cases, computed again.
package struct VerifyCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Replay golden cases and compare with what the reference computed.",
    discussion: """
      Training steps, backbones of another library, augmentations and schedules: the kind is told from the contents.
      Prints the largest difference of each quantity beside its bound; the exit code is 1 if any is over.
      """)

  @Argument(help: ArgumentHelp("Cases: JSON files, with their tensors beside them.", valueName: "case"))
  package var cases: [String]

  @Option(
    help: ArgumentHelp(
      "Whose kernels compute: \(ComputeClass.allCases.map(\.rawValue).joined(separator: ", ")); the processor must have it. "
        + "(default: the least, for a case in bf16 this machine's best)",
      valueName: "class"))
  package var computeClass: ComputeClass?

  package init() {}

  package func run() throws {
    let precision = try cases.contains { try GoldenCase.isMixedPrecision($0) } ? ProductPrecision.bf16 : .fp32
    let ours = precision == .fp32 ? Processor.leastClass : Processor.bestClass(for: precision)
    try Relaunch.ensure(computeClass ?? ours, precision)
    var over = 0
    for path in cases {
      let comparisons = try GoldenCase.replay(path)
      try StandardOutput.write(path)
      let width = comparisons.map(\.quantity.count).max() ?? 0
      for comparison in comparisons {
        let verdict = comparison.isWithin ? "ok" : "OVER"
        try StandardOutput.write(
          "  " + comparison.quantity.padding(toLength: width, withPad: " ", startingAt: 0)
            + String(format: " %.3e  bound %.3e  ", comparison.difference, comparison.bound) + verdict)
        if !comparison.isWithin { over += 1 }
      }
    }
    guard over == 0 else {
      try StandardOutput.write("\(over) quantities are over their bounds.")
      throw ExitStatus.failed.code
    }
  }
}

extension ComputeClass: ExpressibleByArgument {}
