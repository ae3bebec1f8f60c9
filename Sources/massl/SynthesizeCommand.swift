import ArgumentParser
import Vision

struct SynthesizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "synthesize",
    abstract: "Makes a labelled JPEG data set: grey textures told apart by orientation and fineness.",
    discussion: "Writes OUT/train and OUT/test, a folder per class; every fifth picture of a class is for testing.")

  @Option(help: "The folder to write to; made if need be.")
  var out: String

  @Option(help: "Pictures in all.")
  var images: Int

  @Option(help: "Classes.")
  var classes = 8

  @Option(help: "Side of a picture, in pixels.")
  var size = 64

  @Option(help: "Keys every random number: the same seed makes the same pictures.")
  var seed: UInt64 = 0

  func run() throws {
    var settings = Synthesis.Settings(images: images)
    settings.classes = classes
    settings.size = size
    settings.seed = seed
    do { try Synthesis(settings).write(to: out) } catch { throw ValidationError("\(error)") }
    print("\(images) pictures of \(classes) classes in \(out)/train and \(out)/test")
  }
}
