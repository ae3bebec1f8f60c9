import Configuration
import Messages
import Yams

/// A hosts file: YAML, a name and a list of machines.
///
///     name: first
///     hosts:
///       - { host: nodea, role: coordinator, address: 10.0.0.1 }
///       - { host: nodeb, role: worker, threads: 8 }
extension Cluster {
  /// - Throws: `LaunchError` with the line of what is wrong.
  public init(contentsOf path: String) throws(LaunchError) {
    do {
      try self.init(text: try PlainYAML.text(ofFile: path, kind: "hosts file"), file: path)
    } catch let error as LaunchError {
      throw error
    } catch PlainYAML.Problem.unreadable(let reason) {
      throw .unreadable(file: path, reason: reason)
    } catch {
      throw .unreadable(file: path, reason: "\(error)")
    }
  }

  /// - Parameter file: what errors call it.
  public init(text: String, file: String) throws(LaunchError) {
    let root: Node?
    do {
      root = try PlainYAML.compose(text)
    } catch {
      switch error {
      case .malformed(let line, let reason): throw .malformed(file: file, line: line, reason: reason)
      case .repeatedKey(let key): throw .malformed(file: file, line: nil, reason: "\(key) is given twice")
      case .unreadable(let reason): throw .unreadable(file: file, reason: reason)
      }
    }
    guard case .mapping(let mapping)? = root else {
      throw .malformed(file: file, line: root?.mark?.line, reason: "it has no keys 'name' and 'hosts'")
    }
    let keys = try HostKeys(mapping, allowed: ["name", "hosts"], file: file, line: 1)
    name = try keys.required("name", kind: "letters, digits, '.', '-' and '_', at most 64") { isName($0) ? $0 : nil }
    guard case .sequence(let entries)? = keys.node("hosts") else {
      throw .missingKey("hosts", host: nil, file: file, line: keys.line)
    }
    var hosts: [(host: ClusterHost, line: Int?)] = []
    for entry in entries {
      let line = entry.mark?.line
      guard case .mapping(let mapping) = entry else {
        throw .malformed(file: file, line: line, reason: "a host needs keys: host and role at least")
      }
      let host = try ClusterHost(HostKeys(mapping, allowed: ClusterHost.keys, file: file, line: line))
      if let other = hosts.first(where: { $0.host.name == host.name }) {
        throw .repeatedName(host.name, file: file, lines: [other.line, line].compactMap { $0 })
      }
      hosts.append((host, line))
    }
    self.hosts = hosts.map(\.host)
    let coordinators = self.hosts.filter { $0.role == .coordinator }
    guard coordinators.count == 1 else { throw .coordinators(coordinators.map(\.name), file: file) }
  }

  /// The host of a name.
  /// - Throws: `LaunchError.noSuchHost`.
  public func host(named name: String, file: String) throws(LaunchError) -> ClusterHost {
    if let host = hosts.first(where: { $0.name == name }) { return host }
    throw .noSuchHost(name, nearest: nearestName(to: name, among: hosts.map(\.name)), file: file)
  }
}

extension ClusterHost {
  static let keys = [
    "host", "role", "name", "user", "address", "port", "threads", "storage", "data", "program",
  ]

  fileprivate init(_ keys: HostKeys) throws(LaunchError) {
    let host = try keys.required("host", kind: "what ssh takes as a host") { isHost($0) ? $0 : nil }
    var keys = keys
    keys.host = host
    let word = try keys.required("role", kind: "a role") { $0 }
    guard let role = Role(rawValue: word) else {
      throw .unknownRole(
        word, nearest: nearestName(to: word, among: Role.allCases.map(\.rawValue)), host: host, file: keys.file,
        line: keys.line(of: "role"))
    }
    self.host = host
    self.role = role
    name =
      try keys.optional("name", kind: "letters, digits, '.', '-' and '_', at most 64") { isName($0) ? $0 : nil } ?? host
    guard isName(name) else { throw .missingKey("name", host: host, file: keys.file, line: keys.line) }
    user = try keys.optional("user", kind: "a user's name") { isHost($0) ? $0 : nil }
    address =
      try keys.optional("address", kind: "a name or an address that the other machines reach") {
        isAddress($0) ? $0 : nil
      }
      ?? host
    port = try keys.optional("port", kind: "a port from 1 to 65534") { text in
      Int(text).flatMap { (1...65_534).contains($0) ? $0 : nil }
    }
    threads = try keys.optional("threads", of: .worker, role, kind: "a whole number from 1 on") { text in
      Int(text).flatMap { $0 > 0 ? $0 : nil }
    }
    storage = try keys.optional("storage", of: .memory, role, kind: "bytes, as 64GiB") { isBytes($0) ? $0 : nil }
    data = try keys.optional("data", of: .worker, role, kind: "a folder") { $0.isEmpty ? nil : $0 }
    program = try keys.optional("program", kind: "a path from the root on") { $0.hasPrefix("/") ? $0 : nil }
    if role == .memory, storage == nil { throw .missingKey("storage", host: host, file: keys.file, line: keys.line) }
  }
}

// MARK: - Keys of one mapping

private struct HostKeys {
  let file: String
  let line: Int?
  var host: String?
  private var values: [String: (node: Node, line: Int?)] = [:]

  init(_ mapping: Node.Mapping, allowed: [String], file: String, line: Int?) throws(LaunchError) {
    self.file = file
    self.line = line
    for (keyNode, value) in mapping {
      let line = keyNode.mark?.line
      guard case .scalar(let key) = keyNode else {
        throw .malformed(file: file, line: line, reason: "a key must be a single word")
      }
      guard allowed.contains(key.string) else {
        throw .unknownKey(
          key.string, nearest: nearestName(to: key.string, among: allowed), allowed: allowed, file: file, line: line)
      }
      values[key.string] = (value, line)
    }
  }

  func node(_ key: String) -> Node? { values[key]?.node }
  func line(of key: String) -> Int? { values[key]?.line }

  func optional<Value>(_ key: String, kind: String, _ read: (String) -> Value?) throws(LaunchError) -> Value? {
    guard let (node, line) = values[key] else { return nil }
    guard case .scalar(let scalar) = node, let value = read(scalar.string) else {
      throw .wrongValue(
        key: key, value: node.scalar?.string ?? "a list", allowed: kind, host: host, file: file, line: line)
    }
    return value
  }

  /// A key that hosts of one role have.
  func optional<Value>(
    _ key: String, of owner: ClusterHost.Role, _ role: ClusterHost.Role, kind: String, _ read: (String) -> Value?
  ) throws(LaunchError) -> Value? {
    guard let value = try optional(key, kind: kind, read) else { return nil }
    guard role == owner else {
      throw .keyOfOtherRole(key, owner: owner, role: role, host: host ?? "", file: file, line: line(of: key))
    }
    return value
  }

  func required<Value>(_ key: String, kind: String, _ read: (String) -> Value?) throws(LaunchError) -> Value {
    guard let value = try optional(key, kind: kind, read) else {
      throw .missingKey(key, host: host, file: file, line: line)
    }
    return value
  }
}

/// For folders and units.
private func isName(_ text: String) -> Bool {
  (1...64).contains(text.utf8.count) && !".-_".contains(text.first ?? ".")
    && text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"): true
      default: ".-_".utf8.contains(byte)
      }
    }
}

/// ssh would take a word that begins with a dash for a flag.
private func isHost(_ text: String) -> Bool {
  (1...255).contains(text.utf8.count) && text.first != "-" && text.utf8.allSatisfy { (0x21..<0x7f).contains($0) }
}

private func isAddress(_ text: String) -> Bool {
  (try? Endpoint("tcp://\(text.contains(":") ? "[\(text)]" : text):1")) != nil && text != "*"
}

private func isBytes(_ text: String) -> Bool {
  let unit = text.drop { $0.isASCII && $0.isNumber }
  return unit.utf8.count < text.utf8.count && unit.allSatisfy { $0.isASCII && $0.isLetter }
}
