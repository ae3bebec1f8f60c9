import Foundation
import Messages
import Wire

/// The coordinator that a run directory names: whoever asks how a run of this machine is doing finds it here.
///
///     if let coordinator = try NamedCoordinator(ofRunAt: run) { try coordinator.ask(security, patience: .seconds(5)) }
public struct NamedCoordinator: Sendable, Equatable {
  /// As the file says it.
  public let address: String
  /// How this machine reaches it.
  public let endpoint: Endpoint

  /// Where a run says it.
  public static func path(ofRunAt run: String) -> String { "\(run)/\(CoordinatorService.addressFile)" }

  /// Nil if none is named: nobody coordinates the run. One that was killed is still named.
  /// - Throws: `BadEndpoint` of a file that holds something else.
  public init?(ofRunAt run: String) throws(BadEndpoint) {
    guard let text = try? String(contentsOfFile: Self.path(ofRunAt: run), encoding: .utf8) else { return nil }
    address = text.trimmingCharacters(in: .whitespacesAndNewlines)
    endpoint = try Endpoint(address).onThisMachine
  }

  /// - Throws: as `StatusInquiry`.
  public func ask(_ security: Security<ClientKeys>, patience: Duration) throws -> StatusInquiry.Answer {
    try StatusInquiry(of: endpoint, security: security).ask(patience: patience)
  }

  /// What the coordinator of a run says to whoever has no keys; nil where there is none, or none that answers.
  public static func glance(atRun run: String, patience: Duration) -> RunStatus? {
    guard let coordinator = try? NamedCoordinator(ofRunAt: run),
      let security = try? Security<ClientKeys>.decide(for: coordinator.endpoint, keys: nil, insecure: false),
      case .status(let status)? = try? coordinator.ask(security, patience: patience)
    else { return nil }
    return status
  }
}
