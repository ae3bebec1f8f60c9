/// The text of a file of allowed keys: a key a line, and whose it is.
public struct AllowedKeysText: Equatable, Sendable {
  /// Keys by the names of their hosts.
  public private(set) var keys: [String: String]

  public init(_ keys: [String: String] = [:]) { self.keys = keys }

  /// Of a file that this wrote before; other lines are passed by.
  public init(text: String) {
    keys = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      let words = line.split(separator: " ")
      if words.count == 2, words[0].first != "#" { keys[String(words[1])] = String(words[0]) }
    }
  }

  /// Those of hosts that answered, and of the others what was known of them.
  /// - Parameter names: of the hosts that are to be let in.
  public func updated(by new: [String: String], names: [String]) -> AllowedKeysText {
    let all = keys.merging(new) { $1 }
    return AllowedKeysText(all.filter { names.contains($0.key) })
  }

  public var text: String {
    "# massl launch writes this file. A key a line, and whose it is.\n"
      + keys.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)\n" }.joined()
  }
}
