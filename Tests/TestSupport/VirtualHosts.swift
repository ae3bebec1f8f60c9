import Foundation
import Glibc
import Synchronization

/// Hosts on a network of their own, on this machine: a network namespace each, with a network card (a veth pair) of a
/// limited rate, all plugged into a switch (a bridge) that has a namespace too, so that nothing of it shows elsewhere.
///
///     let hosts = try VirtualHosts(["coordinator", "worker"], megabits: 500)
///     try Program.start([...], through: hosts.within("worker"))
///     try hosts.unplug("worker")
///
/// Their names carry this process's number, and which of its networks it is: who starts later removes what a killed process
/// left behind.
public final class VirtualHosts {
  private static let prefix = "massl-test-"
  private static let folder = "/run/netns"
  /// Networks that this process has made.
  private static let made = Atomic(0)
  private let number = VirtualHosts.made.wrappingAdd(1, ordering: .relaxed).newValue
  private let names: [String]

  /// Why there are none on this machine; nil if there are.
  public static let unavailable: String? = {
    guard geteuid() == 0 else { return "network namespaces need root" }
    for tool in ["ip", "tc"] where path(of: tool) == nil { return "there is no \(tool) here (package iproute2)" }
    do {
      _ = try VirtualHosts(["probe"], megabits: 100)
      return nil
    } catch {
      return "network namespaces cannot be made here: \(error)"
    }
  }()

  /// - Parameters:
  ///   - names: of the hosts, at most 250.
  ///   - megabits: a second that each may send.
  /// - Throws: `Failure` with what `ip` or `tc` said.
  public init(_ names: [String], megabits: Int) throws {
    self.names = names
    Self.removeLeftBehind()
    let hub = space("switch")
    do {
      try Self.ip("netns", "add", hub)
      try Self.ip("-n", hub, "link", "add", "hub", "type", "bridge")
      try Self.ip("-n", hub, "link", "set", "hub", "up")
      for (index, name) in names.enumerated() {
        let own = space(name)
        try Self.ip("netns", "add", own)
        try Self.ip("-n", hub, "link", "add", "port\(index)", "type", "veth", "peer", "name", "card", "netns", own)
        try Self.ip("-n", hub, "link", "set", "port\(index)", "master", "hub", "up")
        try Self.ip("-n", own, "address", "add", "\(address(name))/24", "dev", "card")
        try Self.ip("-n", own, "link", "set", "lo", "up")
        try Self.ip("-n", own, "link", "set", "card", "up")
        try Self.call(
          "tc",
          ["-n", own, "qdisc", "add", "dev", "card", "root", "tbf"]
            + ["rate", "\(megabits)mbit", "burst", "128kb", "latency", "50ms"])
      }
    } catch {
      remove()
      throw error
    }
  }

  deinit { remove() }

  /// The host's address in its network.
  public func address(_ name: String) -> String { "10.77.0.\((names.firstIndex(of: name) ?? -1) + 1)" }

  /// What to start a program through, so that it runs on that host.
  public func within(_ name: String) -> [String] { [Self.path(of: "ip") ?? "ip", "netns", "exec", space(name)] }

  /// Takes the host off the network; what is on its way is lost.
  public func unplug(_ name: String) throws { try setPort(of: name, "down") }

  public func plugIn(_ name: String) throws { try setPort(of: name, "up") }

  /// From now on nothing that one host sends to the other arrives there, and nobody is told; the other way all does.
  public func cut(from sender: String, to receiver: String) throws {
    // To a card that is not there.
    try Self.ip(
      "-n", space(sender), "neigh", "replace", address(receiver), "lladdr", "02:00:00:00:00:01", "nud", "permanent",
      "dev",
      "card")
  }

  private func setPort(of name: String, _ state: String) throws {
    guard let index = names.firstIndex(of: name) else { throw Failure(description: "no host \(name)") }
    try Self.ip("-n", space("switch"), "link", "set", "port\(index)", state)
  }

  private func space(_ name: String) -> String { "\(Self.prefix)\(getpid())-\(number)-\(name)" }
}

// MARK: - Removing

extension VirtualHosts {
  private func remove() { for name in names + ["switch"] { Self.remove(space(name)) } }

  /// A namespace ends with the last process in it; the cards in it, and so their other ends, go with it.
  private static func remove(_ space: String) {
    guard FileManager.default.fileExists(atPath: "\(folder)/\(space)") else { return }
    for line in ((try? ip("netns", "pids", space)) ?? "").split(separator: "\n") {
      if let number = pid_t(line) { kill(number, SIGKILL) }
    }
    _ = try? ip("netns", "delete", space)
  }

  private static func removeLeftBehind() {
    for space in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where space.hasPrefix(prefix) {
      guard let owner = pid_t(space.dropFirst(prefix.count).prefix { $0 != "-" }), kill(owner, 0) != 0, errno == ESRCH
      else { continue }
      remove(space)
    }
  }
}

// MARK: - Tools

extension VirtualHosts {
  public struct Failure: Error, CustomStringConvertible { public let description: String }

  private static func path(of tool: String) -> String? {
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map { "\($0)/\(tool)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  @discardableResult
  private static func ip(_ arguments: String...) throws -> String { try call("ip", arguments) }

  @discardableResult
  private static func call(_ tool: String, _ arguments: [String]) throws -> String {
    guard let path = path(of: tool) else { throw Failure(description: "there is no \(tool)") }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    let (output, errors) = (Pipe(), Pipe())
    (process.standardOutput, process.standardError) = (output, errors)
    try process.run()
    // A few lines at most: the pipes never fill.
    try process.exit()
    func text(_ pipe: Pipe) -> String { String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self) }
    guard process.terminationStatus == 0 else {
      let words = text(errors).trimmingCharacters(in: .whitespacesAndNewlines)
      throw Failure(description: "'\(([tool] + arguments).joined(separator: " "))': \(words)")
    }
    return text(output)
  }
}
