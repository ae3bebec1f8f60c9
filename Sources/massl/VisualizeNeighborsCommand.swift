import ArgumentParser
import Checkpoints
import Drawing
import Durability
import Evaluation
import Foundation
import Runs
import Telemetry
import Training
import Vision
import Visualization

/// `massl visualize neighbours`.
package struct VisualizeNeighborsCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "neighbours",
    abstract: "Draw which pictures of a run's memory are nearest to given ones.",
    discussion: """
      A row a picture: the picture, then those whose rows in the memory are nearest to its embedding, the nearest first,
      with the cosine and the step that enqueued the row. The picture is embedded whole, by the checkpoint's teacher, head
      included; a row is of one random view, by the teacher of its step. Neighbours that show the same thing tell that the
      memory has meaning; neighbours that share only colour or background tell what was learnt instead. The run, and its
      shards, are only read.

        massl visualize neighbours --run runs/first --data pictures/train pictures/test --out neighbours.png
      """,
    aliases: ["neighbors"])

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("Run directory: its newest checkpoint, or --step's.", valueName: "folder"))
  package var runDirectory: String

  @Option(help: ArgumentHelp("The step of a kept checkpoint that has its rows.", valueName: "step"))
  package var step: Int?

  @Option(help: ArgumentHelp("The run's pictures.", valueName: "pictures"))
  package var data: String

  @OptionGroup package var shards: ShardOptions
  @OptionGroup package var chosen: PictureOptions

  @Option(name: .customLong("k"), help: ArgumentHelp("Neighbours of each picture.", valueName: "count"))
  package var neighbors = 8

  @Option(help: ArgumentHelp("Search only the newest rows of the memory. (default: all)", valueName: "rows"))
  package var newest: Int?

  @Option(help: ArgumentHelp("The PNG file to write; one that is there is replaced.", valueName: "file"))
  package var out: String

  @Flag(help: "One JSON object on standard output: rows, cosines, steps and paths.")
  package var json = false

  package init() {}

  package func validate() throws {
    if chosen.pictures.isEmpty { throw ValidationError("Give pictures, or a folder of them.") }
    guard 1...100 ~= neighbors else { throw ValidationError("--k must be from 1 to 100, not \(neighbors).") }
    if let newest { try requirePositive(newest, "--newest") }
  }

  package func run() throws {
    // 1. What is asked, and whether there are rows to ask.
    let file = try OutputFile(out, ending: "png")
    let memory = try RememberedRows(of: runDirectory, step: step, shards: shards.shard)
    let configuration = memory.definition.configuration
    if let error = try Relaunch.ensureIfPossible(configuration) {
      Console.standardError.write(line: "\(error) Embeddings are computed in this machine's own class.")
    }
    let pictures = try RunPictures(data, ofRunAt: runDirectory, upright: configuration.exifOrientation)
    let search = try MemoryNeighbors(memory, of: runDirectory, newest: newest)
    var sheet = NeighborSheet()
    var resampler = Resampler()
    var (queries, shown): ([(name: String, picture: Picture)], [Picture]) = ([], [])
    try chosen.forEach(upright: configuration.exifOrientation) { name, picture in
      queries.append((name, resampler.square(of: picture, side: search.side)))
      shown.append(sheet.thumbnail(picture))
    }

    // 2. The nearest rows.
    let views = ViewSettings(configuration)
    let checkpoint = try RunDirectory.checkpoint(of: runDirectory, step: memory.manifest.step, in: FileStorage())
    let embeddings = try search.embeddings(
      of: queries, teacher: "\(checkpoint.path)/\(Checkpoint.teacherFile)",
      Normalization(mean: views.mean, deviation: views.deviation))
    let progress = EvaluationProgress("memory", search.numbers.count, of: "rows")
    let nearest = try search.nearest(to: embeddings, count: neighbors) { progress.add($0) }
    progress.finish()

    // 3. Their pictures.
    var report = NeighborReport(step: memory.manifest.step, rows: search.numbers.count)
    for (query, found) in nearest.enumerated() {
      let neighbors = found.map { Shown($0, of: pictures, on: sheet) }
      for neighbor in neighbors {
        if let problem = neighbor.problem { Console.standardError.write(line: "Warning: \(problem)") }
      }
      sheet.add(
        queries[query].name, shown[query], neighbors: neighbors.map { ($0.picture, $0.neighbor.cosine, $0.caption) })
      report.add(queries[query].name, neighbors)
    }
    try file.write(sheet.drawn().png())
    try json ? StandardOutput.write(json: report.json()) : StandardOutput.write("\(out): \(report.words)")
  }
}

/// A neighbour and its picture, if that can be had.
private struct Shown {
  let neighbor: MemoryNeighbors.Neighbor
  var path: String?
  var picture: Picture?
  var problem: String?

  init(_ neighbor: MemoryNeighbors.Neighbor, of pictures: RunPictures, on sheet: NeighborSheet) {
    self.neighbor = neighbor
    guard let origin = neighbor.origin else { return }
    do {
      let found = try pictures.picture(origin.picture, atStep: origin.step)
      (path, picture) = (found.path, sheet.thumbnail(found.picture))
    } catch {
      path = pictures.data.path(origin.picture)
      problem = "row \(neighbor.row) cannot be shown: \(error)"
    }
  }

  var caption: String {
    guard let origin = neighbor.origin else { return "before a fork" }
    return picture == nil ? "gone" : "step \(origin.step)"
  }
}

/// Neighbours for programs.
private struct NeighborReport: Encodable {
  let step: Int
  /// Searched.
  let rows: Int
  var pictures: [Entry] = []

  struct Entry: Encodable {
    let picture: String
    let neighbours: [Neighbour]
  }

  struct Neighbour: Encodable {
    let row: Int
    let cosine: Float
    let step: Int?
    let picture: String?
  }

  init(step: Int, rows: Int) { (self.step, self.rows) = (step, rows) }

  mutating func add(_ name: String, _ shown: [Shown]) {
    pictures.append(
      Entry(
        picture: name,
        neighbours: shown.map {
          Neighbour(
            row: $0.neighbor.row, cosine: $0.neighbor.cosine, step: $0.neighbor.origin?.step, picture: $0.path)
        }))
  }

  var words: String {
    "\(pictures.count) picture\(pictures.count == 1 ? "" : "s") among the newest \(rows) rows of the memory, step \(step)"
  }

  func json() throws -> String { String(decoding: try JSONEncoder.readable.encode(self), as: UTF8.self) }
}
