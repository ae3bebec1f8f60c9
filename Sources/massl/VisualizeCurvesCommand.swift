import ArgumentParser
import Drawing
import Telemetry
import Visualization

/// `massl visualize curves`.
package struct VisualizeCurvesCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "curves",
    abstract: "Draw a run's metrics over its steps: loss, learning rate, entropy, spread, gradient norm and rate.",
    discussion: """
      One SVG file, for light and dark screens. A line is a mean over neighbouring steps, and the band around it goes from
      their least to their largest value, so that a single odd step is still seen. The loss should fall after a rise at the
      start; an entropy near the logarithm of block_size, or a spread near 0, tells of a network that gives all pictures the
      same embedding. Where features were evaluated while the run went on, their figures are drawn too. The run may go on
      meanwhile.

        massl visualize curves --run runs/first --out curves.svg
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("The run directory.", valueName: "folder"))
  package var runDirectory: String

  @Option(help: ArgumentHelp("The SVG file to write; one that is there is replaced.", valueName: "file"))
  package var out: String

  package init() {}

  package func run() throws {
    let file = try OutputFile(out, ending: "svg")
    let sheet = try RunCurves(ofRunAt: runDirectory).sheet
    try file.write(sheet.svg.utf8)
    try StandardOutput.write("\(out): \(sheet.charts.count) charts of \(sheet.title)")
  }
}
