import ArgumentParser
import Telemetry
import Vision

/// `massl synthesize`: a labelled data set made on the spot.
package struct SynthesizeCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "synthesize",
    abstract: "Make a labelled JPEG data set: a folder per class, told apart by texture and not by colour.",
    discussion: "Writes OUT/train and OUT/test; every fifth picture of a class is for testing.")

  @Option(help: ArgumentHelp("The folder to make; must be empty or not there.", valueName: "folder"))
  package var out: String

  @Option(help: ArgumentHelp("Pictures in all, spread evenly over the classes.", valueName: "count"))
  package var images: Int

  @Option(help: "Classes.")
  package var classes = 8

  @Option(help: ArgumentHelp("Side of a picture in pixels.", valueName: "pixels"))
  package var size = 64

  @Option(help: "Another seed, other pictures of the same classes.")
  package var seed: UInt64 = 0

  package init() {}

  package func run() throws {
    var settings = Synthesis.Settings(images: images)
    settings.classes = classes
    settings.size = size
    settings.seed = seed
    try Synthesis(settings).write(to: out)
    try StandardOutput.write("\(images) pictures of \(classes) classes in \(out)/train and \(out)/test")
  }
}
