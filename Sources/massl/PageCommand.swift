import ArgumentParser
import Configuration
import Foundation
import HTTP
import Messages
import Services
import Telemetry
import Watching
import Wire

/// `massl page`: a run in a browser, and for Prometheus.
package struct PageCommand: EndsInOrder {
  package static let configuration = CommandConfiguration(
    commandName: "page",
    abstract: "Show a run in a browser, to Prometheus (/metrics) and to whoever asks for its health (/healthz).",
    discussion: """
      It shows a run that goes on, is being started again, or is done, and costs the run nothing: what browsers send and
      ask stays in this process. Other machines need a token to see it.

        massl page --run runs/first
        massl page --run runs/first --listen 0.0.0.0:5580 --token-file page.token
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("Run directory.", valueName: "folder"))
  package var runDirectory: String

  @Option(help: ArgumentHelp("Where it listens; port 0: any free one.", valueName: "host:port"))
  package var listen = PageOptions.defaultAddress

  @Option(help: PageOptions.tokenHelp)
  package var tokenFile: String?

  @OptionGroup package var security: PeerSecurityOptions

  @Flag(help: .hidden)
  package var stopWithParent = false

  package init() {}

  package func run() throws {
    try DescriptorLimit.check(for: "A page")
    let endpoint = try PageOptions.endpoint(listen)
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: runDirectory, isDirectory: &isFolder), isFolder.boolValue else {
      throw PageError.noFolder(runDirectory)
    }
    let token = try tokenFile.map { path throws(PageError) in try AccessToken(file: path) }
    if token == nil, !endpoint.isLoopback { throw PageError.tokenNeeded(address: listen) }
    Niceness.watching.take()
    let server = try HTTPServer(at: endpoint)
    let log = ProcessLog("page", level: .info)
    let signals = Signals(withParent: stopWithParent)
    // Nothing of it has to be kept.
    signals.tell { _ in ExitStatus.done.leave() }
    let watcher = RunWatcher(run: runDirectory) { [security] in try security.security(for: $0) }
    watcher.start()
    log.line(.info, "Shows \(runDirectory) at \(PageOptions.url(of: server.endpoint)).")
    var page = PageService(watcher, access: PageAccess(token: token))
    server.run { request, source in page.answer(request, from: source, at: .now) }
  }
}
