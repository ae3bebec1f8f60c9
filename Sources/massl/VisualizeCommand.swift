import ArgumentParser
import Telemetry
import Vision
import Visualization

/// `massl visualize`: what a network sees, as pictures.
package struct VisualizeCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "visualize",
    abstract: "Draw what a network sees, what a run remembers, and how it goes.",
    discussion: "Pictures are PNG, charts SVG. docs/visualize.md shows one of each.",
    subcommands: [
      VisualizeAttentionCommand.self, VisualizeNeighborsCommand.self, VisualizeViewsCommand.self,
      VisualizeCurvesCommand.self,
    ])

  package init() {}
}

/// Which pictures are drawn.
package struct PictureOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("Pictures; and folders, lists and tars of them.", valueName: "picture"))
  package var pictures: [String] = []

  @Option(help: ArgumentHelp("Pictures drawn at most; of a folder they are evenly chosen.", valueName: "n"))
  package var count = 8

  package init() {}

  package func validate() throws {
    try requirePositive(count, "--count")
    guard count <= Self.countAtMost else {
      throw ValidationError("--count must be at most \(Self.countAtMost), not \(count).")
    }
  }

  /// More rows than these nobody looks at, and a sheet has hardly room for.
  private static let countAtMost = 100

  /// Which those are.
  /// - Throws: `VisionError` of a folder.
  func selected() throws -> ChosenPictures { try ChosenPictures(pictures, atMost: count) }

  /// Gives those that decode, one after the other, and names those that do not.
  /// - Parameter upright: turns them as their EXIF data say.
  @discardableResult
  func forEach(upright: Bool, _ body: (_ name: String, _ picture: Picture) throws -> Void) throws -> Int {
    try selected().forEach(
      upright: upright, skip: { Console.standardError.write(line: "Warning: skipped \($0)") }, body)
  }
}
