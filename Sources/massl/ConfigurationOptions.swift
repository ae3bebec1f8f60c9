import ArgumentParser
import Checkpoints
import Configuration
import Durability
import Runs

/// What a run is to be: a recipe, flags over it, and changes to a run that exists.
package struct ConfigurationOptions: ParsableArguments {
  @Option(help: ArgumentHelp("A recipe: YAML, one 'key: value' a line. Flags go over it.", valueName: "file"))
  package var config: String?

  @Option(
    help: ArgumentHelp(
      "Change a key of a run that exists, from its newest checkpoint on. May be given several times.",
      valueName: "key=value"))
  package var change: [String] = []

  @OptionGroup(title: "Settings of the run")
  package var flags: ConfigurationFlags

  package init() {}

  /// Recipe first, then flags.
  /// - Parameter own: flags of the command's own, by their keys.
  package func layers(and own: [(name: String, text: String)] = []) throws(ConfigurationError) -> [ConfigurationLayer] {
    var layers: [ConfigurationLayer] = []
    if let config { layers.append(try ConfigurationLayer(recipeAt: config)) }
    layers.append(try ConfigurationLayer(flags: flags.given + own))
    return layers
  }

  package func changes() throws(ConfigurationError) -> ConfigurationLayer {
    try ConfigurationLayer(assignments: change)
  }

  /// The configuration that the run in a directory is started or resumed with.
  /// - Parameter own: as in `layers`.
  /// - Throws: `ConfigurationError` with every key that differs from the run's and must not.
  package func configuration(
    ofRunAt run: String, and own: [(name: String, text: String)] = []
  ) throws -> RunConfiguration {
    let storage = FileStorage()
    guard try RunDirectory.isRun(run, in: storage) else {
      return try RunConfiguration(layers: layers(and: own) + [changes()])
    }
    func configuration(_ text: String) throws -> RunConfiguration {
      try RunConfiguration(layers: [ConfigurationLayer(recipe: text, file: "\(run)/config.yaml")])
    }
    let saved = try configuration(RunDirectory.newestConfiguration(of: run, in: storage))
    return try saved.resumed(
      run: run, begun: configuration(RunDirectory.configuration(of: run, in: storage)), layers: layers(and: own),
      changes: changes())
  }

  /// The same options as arguments, for a process that is started.
  package var arguments: [String] { (config.map { ["--config", $0] } ?? []) + argumentsWithoutRecipe }

  /// Those that mean the same on any machine.
  package var argumentsWithoutRecipe: [String] {
    change.flatMap { ["--change", $0] }
      + flags.given.flatMap { ["--\($0.name.replacing("_", with: "-"))", $0.text] }
  }
}
