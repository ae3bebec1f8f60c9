import Messages

/// What is known of the machines that workers run on.
struct HostTable: Sendable {
  private(set) var quarantined: [QuarantinedHost]
  /// By host: the first step in which a result of it counts that nobody compared.
  private(set) var unaudited: [String: Int]
  /// Of the first worker that this process met.
  private var first: String?
  /// There was a worker of another host since.
  private(set) var areSeveral = false

  init(quarantined: [QuarantinedHost], unaudited: [String: Int]) {
    self.quarantined = quarantined
    self.unaudited = unaudited
  }

  /// The refusal of a host in quarantine.
  func quarantine(of host: String) -> Refusal? { quarantined.first { $0.host == host }?.refusal }

  /// Whether an unaudited result of it can be remembered.
  func hasRoom(for host: String) -> Bool { unaudited[host] != nil || unaudited.count < CoordinationLimits.hosts }

  /// A worker of this host joins.
  mutating func meet(_ host: String) {
    if host != first ?? host { areSeveral = true }
    first = first ?? host
  }

  /// A result of it counts that nobody compared.
  mutating func counts(_ host: String, unauditedIn step: Int) { unaudited[host] = min(unaudited[host] ?? step, step) }

  /// What counts of it from here on is forgotten: the run goes back to before it, or names it as suspect.
  /// - Returns: the first step in which a result of it counts that nobody compared.
  mutating func forgetUnaudited(of host: String) -> Int? { unaudited.removeValue(forKey: host) }

  mutating func quarantine(_ hosts: [QuarantinedHost]) { quarantined += hosts }
}
