/// Layers of given values become one checked configuration: defaults, then recipe, then flags.

extension RunConfiguration {
  /// The published ViT-S/16 recipe, changed by each layer in turn and checked as a whole.
  ///
  /// A named `arch` sets `embed_dim`, `depth` and `num_heads`, over what earlier layers say of them; a later value of
  /// one of the three that disagrees with the name is a contradiction, not a way to change it.
  /// - Throws: `ConfigurationError.inconsistent`, with every sentence that `inconsistencies()` has.
  public init(layers: [ConfigurationLayer]) throws(ConfigurationError) {
    try self.init(changing: RunConfiguration(), layers: layers)
  }

  /// This configuration, changed by each layer in turn and checked as a whole.
  public func changed(by layers: [ConfigurationLayer]) throws(ConfigurationError) -> RunConfiguration {
    try RunConfiguration(changing: self, layers: layers)
  }

  private init(changing base: RunConfiguration, layers: [ConfigurationLayer]) throws(ConfigurationError) {
    self = base
    let contradictions = applySize(of: layers)
    for layer in layers { apply(layer) }
    let sentences = contradictions + inconsistencies()
    if !sentences.isEmpty { throw .inconsistent(sentences) }
  }

  /// Sets what the layer gives, but for the architecture; nothing is checked.
  package mutating func apply(_ layer: ConfigurationLayer) {
    for key in ConfigurationKey.all where !Self.sizeKeys.contains(key.name) {
      if let entry = layer.entries[key.name] { key.set(entry.value, in: &self) }
    }
  }
}

// MARK: - Architecture

extension RunConfiguration {
  private static let sizeKeys = ["arch", "embed_dim", "depth", "num_heads"]

  /// Applies `arch` and the three sizes, which depend on each other.
  private mutating func applySize(of layers: [ConfigurationLayer]) -> [String] {
    var named: ArchitectureName?
    var given: [String: Int] = [:]
    for layer in layers {
      if case .text(let text)? = layer.entries["arch"]?.value, let name = ArchitectureName(rawValue: text) {
        // A named size leaves nothing of the earlier layers' sizes; `custom` keeps them.
        if name != .custom { given = [:] }
        named = name
      }
      for key in Self.sizeKeys.dropFirst() {
        if case .integer(let value)? = layer.entries[key]?.value { given[key] = value }
      }
    }

    guard let name = named, let (width, blocks, heads) = name.dimensions else {
      embedDim = given["embed_dim"] ?? embedDim
      depth = given["depth"] ?? depth
      numHeads = given["num_heads"] ?? numHeads
      let missing = Self.sizeKeys.dropFirst().filter { given[$0] == nil }
      guard named == .custom, !missing.isEmpty else { return [] }
      return ["arch custom needs \(missing.joined(separator: ", ")) as well."]
    }
    (embedDim, depth, numHeads) = (width, blocks, heads)
    return [("embed_dim", width), ("depth", blocks), ("num_heads", heads)].compactMap { key, own in
      guard let value = given[key], value != own else { return nil }
      return "\(key) \(value) contradicts arch \(name.rawValue), whose \(key) is \(own). Give arch custom."
    }
  }
}
