/// A configuration as text, every key in the table's order, so that equal configurations have equal text.

extension RunConfiguration {
  /// As `config.yaml`: reads back, by `ConfigurationLayer(recipe:file:)`, to an equal configuration.
  public func yaml() -> String {
    ConfigurationKey.all.map { key in "\(key.name): \(yamlValue(key))\n" }.joined()
  }

  /// Texts that YAML would take for something else are quoted; JSON's quotes are YAML's.
  private func yamlValue(_ key: ConfigurationKey) -> String {
    let value = key.value(in: self)
    if case .endpoint = key.domain { return value.json }
    return value.description
  }

  /// As one JSON object.
  public func json() -> String {
    "{" + ConfigurationKey.all.map { "\"\($0.name)\": \($0.value(in: self).json)" }.joined(separator: ", ") + "}"
  }
}
