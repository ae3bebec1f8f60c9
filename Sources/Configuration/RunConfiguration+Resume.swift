/// What a run goes on with when it is started again: what was saved, and the changes that its keys' kinds allow.

extension RunConfiguration {
  /// The configuration of a resumed run: this one, as it was saved, with what is given now.
  ///
  /// Keys that are not given stay as saved. An operational key may differ freely; a trajectory key only if `changes`
  /// names it; an identity key never. A trajectory key with the value that the run was started with is as good as not
  /// given: the first command goes on resuming a run whose keys were changed since.
  /// - Parameters:
  ///   - run: the run directory, for errors.
  ///   - begun: what the run was started with.
  ///   - layers: recipe and flags.
  ///   - changes: what was asked for with `--change`.
  /// - Throws: `ConfigurationError.otherConfiguration` with all keys that differ and must not, else what
  ///   `changed(by:)` throws.
  public func resumed(
    run: String, begun: RunConfiguration, layers: [ConfigurationLayer], changes: ConfigurationLayer
  ) throws(ConfigurationError) -> RunConfiguration {
    let next = try changed(by: Self.wishes(of: layers, since: begun) + [changes])
    let asked = Set(changes.names)
    let refused = next.differences(from: self).filter { difference in
      switch difference.kind {
      case .identity: true
      case .trajectory: !asked.contains(difference.name)
      case .operational: false
      }
    }
    if !refused.isEmpty { throw .otherConfiguration(run: run, refused) }
    return next
  }
}

extension RunConfiguration {
  /// The layers less what is no wish to change a run: a trajectory key whose value, the last layer's that gives one, is what
  /// the run was started with, and a compute class that is left to massl.
  private static func wishes(of layers: [ConfigurationLayer], since begun: RunConfiguration) -> [ConfigurationLayer] {
    let unchanged = ConfigurationKey.all.filter { key in
      let given = layers.reversed().lazy.compactMap { $0.entries[key.name]?.value }.first
      return key.kind == .trajectory && given == key.value(in: begun) || given == automaticClass(key)
    }
    return layers.map { $0.without(unchanged) }
  }

  private static func automaticClass(_ key: ConfigurationKey) -> ConfigurationValue? {
    key.name == "compute_class" ? .text(ComputeClassName.auto.rawValue) : nil
  }
}

// MARK: - A new run

extension RunConfiguration {
  /// This configuration as a run is born with it: the class of the machine that starts it, where none is named.
  public func born(in machine: ComputeClassName) -> RunConfiguration {
    var born = self
    if computeClass == .auto { born.computeClass = machine }
    return born
  }
}
