import ArgumentParser
import Checkpoints
import Drawing
import Evaluation
import Foundation
import Machine
import Telemetry
import Visualization

/// `massl visualize attention`.
package struct VisualizeAttentionCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "attention",
    abstract: "Draw what the last block of a network attends to in pictures, head by head.",
    discussion: """
      A row a picture: the square that the network is shown; for each head the picture under heat, bright where its class
      token attends most; the same of the heads' mean; and, in colour, the fewest patches that have 60 % of that. A network
      that has learnt well looks at things, and its heads at different parts of them; one that has not looks everywhere, or
      at the same corners in all pictures. A network with mean pooling has no class token in its features: then the
      attention is the mean over all patches' queries, and is said to be.

        massl visualize attention --run runs/first pictures/test --out attention.png
        massl visualize attention --weights teacher.safetensors --side 448 cat.jpg dog.jpg --out attention.png
      """)

  @OptionGroup package var network: FrozenNetworkOptions
  @OptionGroup package var chosen: PictureOptions

  @Option(
    help: ArgumentHelp(
      "Side of the squares that the network is shown: more patches, finer maps. (default: the trained one)",
      valueName: "pixels"))
  package var side: Int?

  @Option(help: ArgumentHelp("Share of the attention that the last column shows.", valueName: "share"))
  package var mass: Float = 0.6

  @Option(help: ArgumentHelp("The PNG file to write; one that is there is replaced.", valueName: "file"))
  package var out: String

  @Flag(help: "One JSON object on standard output: every head's attention.")
  package var json = false

  package init() {}

  package func validate() throws {
    if chosen.pictures.isEmpty { throw ValidationError("Give pictures, or a folder of them.") }
    guard mass > 0, mass <= 1 else { throw ValidationError("--mass must be above 0 and at most 1, not \(mass).") }
    if let side, !(1...4096 ~= side) { throw ValidationError("--side must be from 1 to 4096, not \(side).") }
  }

  package func run() throws {
    let file = try OutputFile(out, ending: "png")
    let frozen = try JudgedNetwork(network).network
    let side = side ?? frozen.architecture.imageSize
    let available = Allowance.current.memory.usable
    let needed = AttentionReader.bytes(of: frozen, side: side)
    guard needed <= available else {
      throw ValidationError(
        "--side \(side) takes \(mebibytes(needed)) of memory, and there are \(mebibytes(available)). Give a smaller one."
      )
    }
    var reader = try AttentionReader(frozen, side: side)
    var sheet = AttentionSheet(mass: mass)
    var report = AttentionReport(step: frozen.step, side: side)
    let progress = EvaluationProgress("attention", chosen.count, of: "pictures")
    try chosen.forEach(upright: frozen.configuration.exifOrientation) { name, picture in
      let (square, attention) = try reader.read(picture, named: name)
      sheet.add(name, square, attention)
      report.add(name, attention, mass: mass)
      progress.add(1)
    }
    progress.finish()
    try file.write(sheet.drawn().png())
    if frozen.architecture.useMeanPooling {
      Console.standardError.write(
        line: "The network has mean pooling: drawn is the mean attention of all patches, not a class token's.")
    }
    try json ? StandardOutput.write(json: report.json()) : StandardOutput.write("\(out): \(report.words)")
  }
}

/// Attention for programs.
private struct AttentionReport: Encodable {
  let step: Int?
  let side: Int
  var query: String?
  var pictures: [Entry] = []

  struct Entry: Encodable {
    let picture: String
    /// Patches along a side.
    let grid: Int
    /// A list a head: patches row by row.
    let heads: [[Float]]
    /// Patches that have the mass, by their places, of the heads' mean.
    let mass: [Int]
  }

  init(step: Int?, side: Int) { (self.step, self.side) = (step, side) }

  mutating func add(_ name: String, _ attention: Attention, mass: Float) {
    query = attention.query.rawValue
    let chosen = attention.mean.mass(mass).values
    pictures.append(
      Entry(
        picture: name, grid: attention.mean.columns, heads: attention.heads.map(\.values),
        mass: chosen.indices.filter { chosen[$0] > 0 }))
  }

  var words: String {
    let heads = pictures[0].heads.count
    return "attention of the \(query ?? "") in \(pictures.count) picture\(pictures.count == 1 ? "" : "s"), "
      + "\(heads) head\(heads == 1 ? "" : "s")\(step.map { ", step \($0)" } ?? "")"
  }

  func json() throws -> String { String(decoding: try JSONEncoder.readable.encode(self), as: UTF8.self) }
}
