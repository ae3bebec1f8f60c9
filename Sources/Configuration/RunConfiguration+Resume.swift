/// What a run goes on with when it is started again: what was saved, and the changes that its keys' kinds allow.

extension RunConfiguration {
  /// The configuration of a resumed run: this one, as it was saved, with what is given now.
  ///
  /// Keys that are not given stay as saved. An operational key may differ freely; a trajectory key only if `changes`
  /// names it; an identity key never.
  /// - Parameters:
  ///   - run: the run directory, for errors.
  ///   - layers: recipe and flags.
  ///   - changes: what was asked for with `--change`.
  /// - Throws: `ConfigurationError.otherConfiguration` with all keys that differ and must not, else what
  ///   `changed(by:)` throws.
  public func resumed(
    run: String, layers: [ConfigurationLayer], changes: ConfigurationLayer
  ) throws(ConfigurationError) -> RunConfiguration {
    let next = try changed(by: layers + [changes])
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
