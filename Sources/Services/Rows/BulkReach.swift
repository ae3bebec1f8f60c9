import Messages

/// Whether a bulk socket's connection comes about, and what to say if it does not. Pure: time is an argument.
///
/// The other port answers, or nobody would ask here: so a firewall, or a router that forwards only one, is the likely
/// reason.
package struct BulkReach: Sendable {
  /// Without a connection for so long people are told; then each minute.
  package static let patience = Duration.seconds(3)
  private static let pause = Duration.seconds(60)
  /// How long whoever has somebody else to ask waits for a first connection, which takes threads and handshakes; and for
  /// one that was lost.
  private static let firstConnection = Duration.seconds(2)
  private static let nextConnection = Duration.milliseconds(500)

  private let endpoint: Endpoint
  private let control: Endpoint?
  private var isConnected = false
  private var wasConnected = false
  private var tellAt: ContinuousClock.Instant

  package init(of endpoint: Endpoint, control: Endpoint?, at now: ContinuousClock.Instant) {
    self.endpoint = endpoint
    self.control = control
    tellAt = now + Self.patience
  }

  /// - Returns: what to tell people now.
  package mutating func look(isConnected: Bool, at now: ContinuousClock.Instant) -> String? {
    self.isConnected = isConnected
    if isConnected { (wasConnected, tellAt) = (true, now + Self.patience) }
    guard now >= tellAt else { return nil }
    tellAt = now + Self.pause
    return silence.sentence
  }

  /// Whether an answer that was asked for so long ago cannot be expected, for want of a connection.
  package func isHopeless(after waited: Duration) -> Bool {
    !isConnected && waited > (wasConnected ? Self.nextConnection : Self.firstConnection)
  }

  /// Why there is no answer, as far as the connection tells.
  package var silence: BulkSilence { BulkSilence(endpoint: endpoint, control: control, isConnected: isConnected) }
}

/// A bulk socket that does not answer.
public struct BulkSilence: Equatable, Sendable, CustomStringConvertible {
  public let endpoint: Endpoint
  /// The same process's other port, at the address that answers.
  public let control: Endpoint?
  public let isConnected: Bool

  package init(endpoint: Endpoint, control: Endpoint?, isConnected: Bool) {
    self.endpoint = endpoint
    self.control = control
    self.isConnected = isConnected
  }

  public var description: String {
    if isConnected { return "there is no answer on the bulk socket, \(endpoint)" }
    guard let control else { return "the bulk port \(endpoint.port) at \(endpoint.host) takes no connection" }
    return "the control port \(control.port) at \(control.host) answers, the bulk port \(endpoint.port) takes no "
      + "connection"
  }

  /// For people who can do something about it.
  var sentence: String {
    guard let control else { return "The bulk port \(endpoint.port) at \(endpoint.host) takes no connection." }
    return
      "The control port \(control.port) at \(control.host) answers, its bulk port \(endpoint.port) \(Self.advice). Still "
      + "trying."
  }

  private static let advice =
    "does not: open it in the firewall, and forward it where the other is, for both are needed"

  /// Whether a line of a worker's log says that the coordinator's second port is closed to it.
  package static func isSaid(in line: String) -> Bool { line.contains(advice) }
}
