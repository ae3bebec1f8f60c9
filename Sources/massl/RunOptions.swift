import ArgumentParser

/// The data set and the run directory of a command that trains.
package struct RunOptions: ParsableArguments {
  @Option(help: ArgumentHelp("A folder of pictures, a list of them, or tars.", valueName: "pictures"))
  package var data: String

  @Option(help: ArgumentHelp("Run directory; made if it is not there, resumed if it is.", valueName: "folder"))
  package var run: String

  package init() {}
}

/// Refuses counts below 1.
func requirePositive(_ value: Int?, _ flag: String) throws {
  if let value, value < 1 { throw ValidationError("\(flag) must be at least 1, not \(value).") }
}
