import Checkpoints
import Configuration
import Coordination
import Durability
import EventFiles
import Foundation
import Runs
import Services
import Training

/// Writes a run as TensorBoard reads it: figures of each step, histograms of the weights, views of pictures.
///
///     var feed = try TensorBoardFeed(of: "runs/first", data: "pictures", into: "runs/first/tensorboard", log: log)
///     try feed.write()         // what came since the last time
///
/// It reads `metrics.jsonl`, `evaluations.jsonl` and the checkpoints, and needs no coordinator. Evaluations come some steps
/// after the records of theirs, so they have a folder of their own, `evaluations`, which TensorBoard shows as another run.
/// Belongs to one thread.
public struct TensorBoardFeed {
  /// A checkpoint's histograms and views are written when the run is so much further than at those before: the files then
  /// grow with the logarithm of its steps.
  private static let growth = 1.02

  private let run: String
  /// The folder of pictures; nil where no views are wanted, or none can be had.
  private var data: String?
  private var views: SampleViews?
  private let log: ServiceLog
  private var lines: RecordLines
  private var scalars: ScalarEvents
  private let evaluationsFolder: String
  private var evaluationLines: RecordLines
  /// Nil before the first evaluation: no folder is made for none.
  private var evaluations: ScalarEvents?
  /// Checkpoints that could not be read, which is said once.
  private var unreadable: Set<Int> = []

  /// - Parameters:
  ///   - run: the run directory, of a run that was begun.
  ///   - data: the run's pictures; nil for no views.
  ///   - out: the folder of event files, which no other process writes to.
  ///   - every: of so many steps one is written.
  /// - Throws: `EventFileError`.
  public init(
    of run: String, data: String?, into out: String, every: Int = 1, log: @escaping ServiceLog
  ) throws(EventFileError) {
    self.run = run
    self.data = data
    self.log = log
    lines = RecordLines(path: "\(run)/metrics.jsonl")
    scalars = ScalarEvents(try EventFolder(out), every: every)
    evaluationsFolder = "\(out)/evaluations"
    evaluationLines = RecordLines(path: "\(run)/evaluations.jsonl")
  }

  /// Writes all that there is.
  /// - Throws: `EventFileError.cannotWrite`; what was not written is, next time.
  public mutating func write() throws(EventFileError) {
    do throws(EventFileError) {
      repeat {
        while try Self.advance(&lines, &scalars) {}
      } while try addSample()
      try writeEvaluations()
    } catch {
      lines.startOver()
      scalars.startOver()
      evaluationLines.startOver()
      evaluations?.startOver()
      throw error
    }
  }

  /// Whether the run's last step is written.
  public var isDone: Bool {
    guard let recipe = try? RunDirectory.newestConfiguration(of: run, in: FileStorage()),
      let layer = try? ConfigurationLayer(recipe: recipe, file: "\(run)/config.yaml"),
      let configuration = try? RunConfiguration(layers: [layer]),
      let pictures = try? RunDirectory.data(of: run, in: FileStorage())?.count
    else { return false }
    return scalars.lastStep >= configuration.lastStep(pictures: pictures)
  }

  private mutating func writeEvaluations() throws(EventFileError) {
    if evaluations == nil {
      guard FileManager.default.fileExists(atPath: "\(run)/evaluations.jsonl") else { return }
      evaluations = ScalarEvents(try EventFolder(evaluationsFolder), every: 1)
    }
    guard var events = evaluations else { return }
    defer { evaluations = events }
    while try Self.advance(&evaluationLines, &events) {}
  }

  /// - Returns: whether there is more at once.
  private static func advance(
    _ lines: inout RecordLines, _ scalars: inout ScalarEvents
  ) throws(EventFileError) -> Bool {
    var failure: EventFileError?
    let isMore = lines.advance(&scalars) { scalars, item in
      guard failure == nil else { return }
      switch item {
      case .file, .gone: scalars.startOver()
      case .line(let line):
        do throws(EventFileError) { try scalars.take(line) } catch { failure = error }
      }
    }
    if let failure { throw failure }
    try scalars.flush()
    return isMore
  }
}

// MARK: - Histograms and views

extension TensorBoardFeed {
  /// Adds what belongs to the oldest checkpoint that is due.
  /// - Returns: whether one was.
  private mutating func addSample() throws(EventFileError) -> Bool {
    guard scalars.isCompared(), let step = dueStep else { return false }
    guard let histograms = step == 0 ? [] : histograms(ofStep: step) else {
      unreadable.insert(step)
      return true
    }
    let events = histograms + viewEvents(ofStep: step)
    // Of pictures that cannot be had there is nothing to add, and no views are wanted any more.
    if !events.isEmpty { try scalars.add(events, of: step) }
    return true
  }

  /// Step 0, for the first batch's views, or a checkpoint's.
  private var dueStep: Int? {
    guard let last = scalars.sampled.last else {
      return data != nil ? 0 : checkpoints.first { $0 <= scalars.lastStep }
    }
    return checkpoints.first { $0 > last && Double($0) >= Double(last) * Self.growth && $0 <= scalars.lastStep }
  }

  /// Oldest first.
  private var checkpoints: [Int] {
    let directory = try? RunDirectory.checkpoints(of: run, in: FileStorage())
    return ((try? directory?.steps()) ?? []).filter { !unreadable.contains($0) }
  }

  /// How the weights are spread, tensor by tensor; nil where the checkpoint cannot be read.
  private func histograms(ofStep step: Int) -> [StepEvent]? {
    do {
      guard let directory = try RunDirectory.checkpoints(of: run, in: FileStorage()) else { return nil }
      let path = try directory.checkpoint(ofStep: step).path
      return try [("student", Checkpoint.studentFile), ("teacher", Checkpoint.teacherFile)].map { network, name in
        let file = try SafetensorsFile("\(path)/\(name)", in: FileStorage())
        let histograms = try file.header.tensors.map {
          (tag: "\(network)/\($0.name)", histogram: Histogram(of: try file.floats(of: $0.name)))
        }
        return StepEvent(wallTime: Date().timeIntervalSince1970, step: step, .histograms(histograms))
      }
    } catch {
      // One that was pruned meanwhile is nothing to speak of.
      let isThere = (try? RunDirectory.checkpoints(of: run, in: FileStorage())?.steps().contains(step)) ?? false
      if isThere { log(.warning, "The weights of step \(step) have no histograms: \(error)") }
      return nil
    }
  }

  /// Of the newest batch that the step's weights have seen, or of the first one; nothing where pictures cannot be had.
  private mutating func viewEvents(ofStep step: Int) -> [StepEvent] {
    guard let data else { return [] }
    do {
      let views = try self.views ?? SampleViews(of: run, data: data)
      self.views = views
      let strips = try views.strips(ofStep: max(0, step - 1))
      return [StepEvent(wallTime: Date().timeIntervalSince1970, step: step, .pictures(strips))]
    } catch {
      log(.warning, "No views are shown: \(error)")
      self.data = nil
      return []
    }
  }
}
