import ArgumentParser
import Telemetry
import Wire

/// `massl keygen`: who a process is.
package struct KeygenCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "keygen",
    abstract: "Make a key pair for encrypted connections, and print its public key.",
    discussion: """
      The coordinator needs one, and its --allowed-keys file the public key of each worker, one a line. A worker
      needs one, and the coordinator's public key as --coordinator-key.

        massl keygen --out worker.key
      """)

  @Option(help: ArgumentHelp("The file to write, readable by its owner alone; must not be there.", valueName: "file"))
  package var out: String

  package init() {}

  package func run() throws {
    let pair = try KeyPair.generate()
    try pair.write(to: out)
    try StandardOutput.write("\(pair.publicKey)")
  }
}
