import Coordination
import Foundation
import Messages
import Runs
import Wire

/// Where a worker looks for its coordinator: addresses, and files that hold one a line and may change, such as the
/// `coordinator.address` of a run directory on a disk that both see.
public struct CoordinatorSearch: Sendable {
  private enum Place: Sendable {
    case endpoint(Endpoint)
    case file(String)
  }

  /// What was found: a coordinator that answered.
  public struct Found: Sendable {
    public var endpoint: Endpoint
    public var security: Security<ClientKeys>
    public var status: RunStatus
  }

  /// How long each address may take to answer.
  private static let patience = Duration.seconds(1)
  /// Before all are asked again.
  private static let pause = 0.5

  private let places: [Place]
  private let security: @Sendable (Endpoint) throws -> Security<ClientKeys>

  /// - Parameters:
  ///   - places: `tcp://HOST:PORT`, or else the path of a file.
  ///   - security: what an endpoint is talked to with.
  /// - Throws: `BadEndpoint`, or what `security` throws, for addresses that are given.
  public init(
    _ places: [String], security: @escaping @Sendable (Endpoint) throws -> Security<ClientKeys>
  ) throws {
    self.security = security
    self.places = try places.map { text in
      // What has no slash and is no file is a mistyped address.
      if !text.hasPrefix("tcp://"), text.contains("/") || FileManager.default.fileExists(atPath: text) {
        return .file(text)
      }
      let endpoint = try Endpoint(text)
      _ = try security(endpoint)
      return .endpoint(endpoint)
    }
  }

  /// Whether a coordinator that is gone may be found elsewhere.
  public var mayMove: Bool {
    if places.count == 1, case .endpoint = places[0] { return false }
    return true
  }

  /// The addresses as they are now, in the order given. A file that is not there, or not whole yet, holds none.
  public var endpoints: [Endpoint] {
    places.flatMap { place -> [Endpoint] in
      switch place {
      case .endpoint(let endpoint): return [endpoint]
      case .file(let path):
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { line in
          (try? Endpoint(line.trimmingCharacters(in: .whitespaces)))?.onThisMachine
        }
      }
    }
  }

  /// Asks each address once.
  /// - Returns: the first that answers; or nil, and why the last did not, where the connection says so.
  /// - Throws: `WireError` of a peer that answers in a newer protocol; `ServiceError.unreadableStatus`.
  public func ask() throws -> (found: Found?, reason: WireError?) {
    var why: WireError?
    for endpoint in endpoints {
      let security = try security(endpoint)
      switch try StatusInquiry(of: endpoint, security: security).ask(patience: Self.patience) {
      case .status(let status): return (Found(endpoint: endpoint, security: security, status: status), nil)
      case .none(let reason): why = reason ?? why
      }
    }
    return (nil, why)
  }

  /// Asks until there is an answer, and says so where that takes long.
  ///
  /// - Parameter isToStop: whether to give up.
  /// - Returns: nil if it was given up.
  /// - Throws: as `ask`.
  public func find(until isToStop: () -> Bool, log: ServiceLog) throws -> Found? {
    let start = ContinuousClock.now
    var complainAt = start + .seconds(3)
    var why: WireError?
    while !isToStop() {
      let (found, reason) = try ask()
      if let found { return found }
      // What the connection says of itself is told at once: whoever mistyped a name is still watching.
      if let reason, reason != why, !isToStop() { log(.warning, "\(reason) Still trying.") }
      why = reason ?? why
      // Where nobody had to be waited for.
      if endpoints.isEmpty || reason != nil { Thread.sleep(forTimeInterval: Self.pause) }
      guard ContinuousClock.now >= complainAt else { continue }
      let waited = ContinuousClock.now - start
      complainAt = .now + min(waited, .seconds(60))
      let silence = "No answer from a coordinator at \(self) for \(waited.words)"
      log(.warning, why.map { "\(silence). \($0)" } ?? "\(silence); still trying.")
    }
    return nil
  }
}

extension CoordinatorSearch: CustomStringConvertible {
  /// "tcp://a:5570 or those in runs/a/coordinator.address".
  public var description: String {
    places.map { place in
      switch place {
      case .endpoint(let endpoint): "\(endpoint)"
      case .file(let path):
        FileManager.default.fileExists(atPath: path) ? "those in \(path)" : "\(path), which is not there,"
      }
    }.joined(separator: " or ")
  }
}
