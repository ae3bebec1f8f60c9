import ArgumentParser

/// Where else a run's memory rows are read.
package struct ShardOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The directory of a memory shard that has rows of the run; only read, also while it serves. May be given several times.",
      valueName: "folder"))
  package var shard: [String] = []

  package init() {}
}
