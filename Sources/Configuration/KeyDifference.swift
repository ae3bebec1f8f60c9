/// A key on which a saved run and the given configuration disagree.
public struct KeyDifference: Sendable, Equatable, CustomStringConvertible {
  /// The key's name.
  public let name: String
  public let kind: ConfigurationKey.Kind
  /// As in a recipe.
  public let saved: String
  public let given: String

  public var description: String { "\(name): saved \(saved), given \(given)" }
}

extension RunConfiguration {
  /// The keys that differ from a saved run's, in the table's order.
  public func differences(from saved: RunConfiguration) -> [KeyDifference] {
    ConfigurationKey.all.compactMap { key in
      let (old, new) = (key.value(in: saved), key.value(in: self))
      guard old != new else { return nil }
      return KeyDifference(name: key.name, kind: key.kind, saved: old.description, given: new.description)
    }
  }
}
