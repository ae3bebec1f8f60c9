import ArgumentParser
import Checkpoints
import Configuration
import Drawing
import Durability
import Evaluation
import Foundation
import Runs
import Telemetry
import Training
import Vision
import Visualization

/// `massl visualize views`.
package struct VisualizeViewsCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "views",
    abstract: "Draw the views that the augmentation makes of pictures.",
    discussion: """
      A row a picture: the picture with a frame where each view is cut from (thick blue and orange: the two global ones;
      thin green: the local ones), then the views as the networks are shown them, before they are normalised, with what was
      done to each. What all views of a picture still share is what the network can learn from it: if no person could tell
      that two views are of one picture, the crops are too small or the colours too far off.

        massl visualize views --config Recipes/cifar10.yaml cat.jpg --out views.png
        massl visualize views --run runs/first --data pictures --step 4211 --out views.png

      With --run and --data they are, pixel by pixel, those of that step: of the first pictures of its batch, or of those
      given. Without --data, or without a run, pictures count as the first ones of a data set, in its first epoch.
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("Draw the views of this run.", valueName: "folder"))
  package var runDirectory: String?

  @Option(help: ArgumentHelp("The run's pictures.", valueName: "pictures"))
  package var data: String?

  @Option(
    help: ArgumentHelp(
      "The step whose views are drawn; the first is 0, or that of the fork. (default: the first)", valueName: "step"))
  package var step: Int?

  @OptionGroup package var chosen: PictureOptions

  @Option(help: ArgumentHelp("The PNG file to write; one that is there is replaced.", valueName: "file"))
  package var out: String

  @Option(
    help: ArgumentHelp("Without a run: a recipe: YAML, one 'key: value' a line. Flags go over it.", valueName: "file"))
  package var config: String?

  @OptionGroup(title: "Settings, without a run")
  package var flags: ConfigurationFlags

  @Flag(help: "One JSON object on standard output: what each view is cut from, and what is done to it.")
  package var json = false

  package init() {}

  package func validate() throws {
    if runDirectory == nil {
      if data != nil || step != nil { throw ValidationError("--data and --step are those of a --run. Give one.") }
      if chosen.pictures.isEmpty { throw ValidationError("Give pictures, or a --run with its --data.") }
    } else {
      if config != nil || !flags.given.isEmpty {
        throw ValidationError("A run says itself how its views are made: leave out --config and settings.")
      }
      if data == nil {
        if step != nil {
          throw ValidationError("--step needs --data: which views a picture has follows from its number.")
        }
        if chosen.pictures.isEmpty { throw ValidationError("Give pictures, or the run's --data.") }
      }
    }
    if let step, step < 0 { throw ValidationError("--step must be at least 0, not \(step).") }
  }

  package func run() throws {
    let file = try OutputFile(out, ending: "png")
    let configuration = try configuration()
    var sheet = ViewSheet(ViewSettings(configuration), seed: configuration.seed)
    var report = ViewReport()
    func add(_ name: String, _ picture: Picture, image: Int, epoch: Int) {
      report.add(name, sheet.add(name, picture, image: image, epoch: epoch))
    }
    if let runDirectory, let data {
      let pictures = try RunPictures(data, ofRunAt: runDirectory, upright: configuration.exifOrientation)
      let first = try RunDirectory.newestManifest(of: runDirectory, in: FileStorage())?.firstStepOfItsViews ?? 0
      let step = step ?? first
      guard step >= first else {
        throw ValidationError(
          "--step \(step): pictures or settings of \(runDirectory) changed at step \(first). Give a step from there on, or "
            + "the run that it was forked from.")
      }
      let definition = try RunDefinition(configuration: configuration, pictures: pictures.data.count)
      guard step < definition.lastStep else {
        throw VisualizationError.noSuchStep(run: runDirectory, step: step, lastStep: definition.lastStep)
      }
      for number in try numbers(of: pictures, atStep: step, definition) {
        let found = try pictures.picture(number, atStep: step)
        add(found.path, found.picture, image: number, epoch: definition.epoch(ofStep: step))
      }
    } else {
      var number = 0
      try chosen.forEach(upright: configuration.exifOrientation) { name, picture in
        add(name, picture, image: number, epoch: 0)
        number += 1
      }
    }
    try file.write(sheet.drawn().png())
    try json ? StandardOutput.write(json: report.json()) : StandardOutput.write("\(out): \(report.words)")
  }

  /// Those that were given, or the first of the step's batch.
  private func numbers(of pictures: RunPictures, atStep step: Int, _ definition: RunDefinition) throws -> [Int] {
    if !chosen.pictures.isEmpty { return try pictures.numbers(of: chosen.selected()) }
    return (0..<min(chosen.count, definition.configuration.batchSize)).map {
      definition.picture(step: step, indexInBatch: $0)
    }
  }

  private func configuration() throws -> RunConfiguration {
    guard let runDirectory else {
      let recipe = try config.map { [try ConfigurationLayer(recipeAt: $0)] } ?? []
      return try RunConfiguration(layers: recipe + [ConfigurationLayer(flags: flags.given)])
    }
    let text = try RunDirectory.newestConfiguration(of: runDirectory, in: FileStorage())
    return try RunConfiguration(layers: [ConfigurationLayer(recipe: text, file: "\(runDirectory)/config.yaml")])
  }
}

/// Views for programs.
private struct ViewReport: Encodable {
  var pictures: [Entry] = []

  struct Entry: Encodable {
    let picture: String
    let views: [View]
  }

  struct View: Encodable {
    /// Of the picture, in pixels.
    let top, left, height, width: Int
    /// Side of the view, in pixels.
    let size: Int
    /// In order: "flip", "brightness 1.2".
    let operations: [String]
  }

  mutating func add(_ name: String, _ views: [ViewParameters]) {
    pictures.append(
      Entry(
        picture: name,
        views: views.map { view in
          View(
            top: view.region.top, left: view.region.left, height: view.region.height, width: view.region.width,
            size: view.size, operations: view.operations.map(Self.words))
        }))
  }

  private static func words(_ operation: PictureOperation) -> String {
    switch operation {
    case .flip: "flip"
    case .brightness(let factor): "brightness \(factor)"
    case .contrast(let factor): "contrast \(factor)"
    case .saturation(let factor): "saturation \(factor)"
    case .hue(let shift): "hue \(shift)"
    case .grayscale: "grayscale"
    case .solarize(let threshold): "solarize \(threshold)"
    case .blur(let sigma): "blur \(sigma)"
    }
  }

  var words: String {
    "\(pictures.first?.views.count ?? 0) views of each of \(pictures.count) picture\(pictures.count == 1 ? "" : "s")"
  }

  func json() throws -> String { String(decoding: try JSONEncoder.readable.encode(self), as: UTF8.self) }
}
