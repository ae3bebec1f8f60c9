import ArgumentParser
import Foundation
import Messages
import Services
import Watching
import Wire

/// The page beside a run, of the commands that start one.
package struct PageOptions: ParsableArguments {
  static let defaultAddress = "127.0.0.1:5580"
  static let tokenHelp = ArgumentHelp(
    "A file with the secret that whoever looks from another machine has to say; only its owner may read it.",
    valueName: "file")

  @Option(
    defaultAsFlag: PageOptions.defaultAddress,
    help: ArgumentHelp(
      "Show the run in a browser, by a process of its own: docs/watching.md.", valueName: "host:port"))
  package var page: String?

  @Option(name: .customLong("page-token-file"), help: PageOptions.tokenHelp)
  package var tokenFile: String?

  package init() {}

  package func validate() throws {
    if tokenFile != nil, page == nil { throw ValidationError("--page-token-file goes with --page.") }
    if let page { _ = try Self.endpoint(page) }
  }

  /// "HOST:PORT".
  /// - Throws: `ValidationError`.
  static func endpoint(_ text: String) throws -> Endpoint {
    do throws(BadEndpoint) {
      return try Endpoint("tcp://\(text)")
    } catch {
      throw ValidationError(
        "'\(text)' is no address of a page: \(error.problem). Write it as HOST:PORT, for example \(defaultAddress).")
    }
  }

  /// What to type into a browser of this machine.
  static func url(of endpoint: Endpoint) -> String {
    endpoint.onThisMachine.description.replacing("tcp://", with: "http://") + "/"
  }

  /// Starts the page's process; nil if none is wanted.
  /// - Parameter security: the coordinator's, whose own key the page then shows it.
  /// - Throws: what is wrong with the token file or the address, before a run begins with it.
  func process(
    of run: String, beside security: CoordinatorSecurityOptions? = nil, log: @escaping ServiceLog
  ) throws -> CompanionProcess? {
    guard let page else { return nil }
    if let tokenFile {
      _ = try AccessToken(file: tokenFile)
    } else if try !Self.endpoint(page).isLoopback {
      throw PageError.tokenNeeded(address: page)
    }
    var arguments = ["page", "--run", run, "--listen", page, "--stop-with-parent"]
    if let tokenFile { arguments += ["--token-file", tokenFile] }
    if let security { arguments += try security.asPeer() }
    // The page may be there before the run is.
    try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: true)
    return CompanionProcess("page", arguments: arguments, log: log)
  }
}
