import ArgumentParser
import Checkpoints
import Durability
import EventFiles
import Foundation
import Services
import Watching

/// `massl tensorboard`: a run as TensorBoard's event files.
package struct TensorBoardCommand: EndsInOrder {
  package static let configuration = CommandConfiguration(
    commandName: "tensorboard",
    abstract: "Write a run's figures, histograms of its weights and views of its pictures for TensorBoard.",
    discussion: """
      It reads metrics.jsonl and the checkpoints, and costs the run nothing. What stands in the files is not written again,
      and steps that a restarted run does again take the place of the old ones.

        massl tensorboard --run runs/first --data pictures
        tensorboard --logdir runs/first/tensorboard
      """)

  @Option(name: .customLong("run"), help: ArgumentHelp("Run directory.", valueName: "folder"))
  package var runDirectory: String

  @Option(help: ArgumentHelp("The run's pictures; without them no views are shown.", valueName: "pictures"))
  package var data: String?

  @Option(help: ArgumentHelp("Where the files go. (default: tensorboard/ in the run)", valueName: "folder"))
  package var out: String?

  @Option(help: ArgumentHelp("Write the figures of one step in so many.", valueName: "steps"))
  package var every = 1

  @Flag(help: "Go on until the run's last step, or until interrupted.")
  package var follow = false

  /// Until the run has ended, which comes on standard input.
  @Flag(help: .hidden)
  package var beside = false

  package init() {}

  /// From one look to the next, and while something is in the way, in seconds.
  private static let pause = 2.0
  private static let failurePause = 30.0
  /// Looks between two questions whether the run is done.
  private static let looksPerQuestion = 5

  package func validate() throws { try requirePositive(every, "--every") }

  package func run() throws {
    Niceness.writing.take()
    let log = ProcessLog("tensorboard", level: .info)
    let signals = Signals()
    // Beside a run it stays until that has ended, whoever is asked to leave: some steps are still to come.
    if beside {
      let end = RunEnding()
      return keepWriting(log.line) { end.end != nil }
    }
    signals.tell { [follow] request in
      if request == .hurry || !follow { ExitStatus.tryAgain.leave() }
    }
    if follow { return keepWriting(log.line) { signals.haveCome } }
    guard try RunDirectory.isRun(runDirectory, in: FileStorage()) else {
      throw CheckpointError.notARun(directory: runDirectory)
    }
    var feed = try openFeed(log.line)
    try feed.write()
  }

  private func openFeed(_ log: @escaping ServiceLog) throws(EventFileError) -> TensorBoardFeed {
    try TensorBoardFeed(
      of: runDirectory, data: data, into: out ?? "\(runDirectory)/tensorboard", every: every, log: log)
  }

  /// A disk that is full, and whatever else is in the way, is said once, and tried again.
  private func keepWriting(_ log: @escaping ServiceLog, until isOver: () -> Bool) {
    var feed: TensorBoardFeed?
    var isFailing = false
    var looks = 0
    while true {
      let isLast = isOver()
      if (try? RunDirectory.isRun(runDirectory, in: FileStorage())) ?? false {
        do throws(EventFileError) {
          if feed == nil { feed = try openFeed(log) }
          try feed?.write()
          if isFailing { log(.info, "Event files are written again; nothing is missing.") }
          isFailing = false
        } catch {
          if !isFailing { log(.warning, "\(error) The run goes on; what is missing is written once that works.") }
          isFailing = true
        }
      }
      looks += 1
      if isLast || !isFailing && looks % Self.looksPerQuestion == 0 && feed?.isDone == true { return }
      let end = Date() + (isFailing ? Self.failurePause : Self.pause)
      while Date() < end, !isOver() { Thread.sleep(forTimeInterval: 0.1) }
    }
  }
}
