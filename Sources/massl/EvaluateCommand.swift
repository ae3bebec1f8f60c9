import ArgumentParser

/// `massl evaluate`: how good frozen features are.
package struct EvaluateCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure how good frozen features are.",
    discussion: """
      Features of a run's pictures are computed once and kept in the run's folder evaluations/, so a second evaluation
      of the same weights begins at once. docs/evaluation.md has each protocol, its published settings and massl's.
      """,
    subcommands: [
      EvaluateNearestNeighborsCommand.self, EvaluateLinearCommand.self, EvaluateLowShotCommand.self,
      EvaluateClusterCommand.self, EvaluateRetrievalCommand.self, EvaluateCopyCommand.self, EvaluateReportCommand.self,
    ])

  package init() {}
}
