/// Which names a file gives to the tensors of a Vision Transformer's backbone.
///
/// massl's own names are timm's, after a prefix.
enum TensorNaming: String, Sendable {
  /// timm, and with it DINO, DINOv2, MAE, the reference, and massl's own files.
  case timm
  /// Hugging Face's transformers (ViT, DINO, DINOv2): query, key and value are tensors of their own.
  case transformers

  /// The tensor that every such file has, by which it is known.
  var classToken: String {
    switch self {
    case .timm: "cls_token"
    case .transformers: "embeddings.cls_token"
    }
  }

  /// A residual branch of a block: LayerScale multiplies what it adds.
  enum Branch: Sendable { case attention, mlp }

  /// The names, one of which the file may have, of a tensor that timm calls `name`; each a list of tensors whose rows
  /// follow one another.
  func alternatives(for name: String) -> [[String]] {
    switch self {
    case .timm: return name == "reg_token" ? [[name], ["register_tokens"]] : [[name]]
    case .transformers:
      guard let (block, rest) = Self.block(of: name) else {
        switch name {
        case "pos_embed": return [["embeddings.position_embeddings"]]
        case "cls_token": return [[classToken]]
        case "reg_token": return [["embeddings.register_tokens"]]
        case let name where name.hasPrefix("patch_embed.proj."):
          return [["embeddings.patch_embeddings.projection." + name.dropFirst("patch_embed.proj.".count)]]
        case let name where name.hasPrefix("norm."): return [["layernorm." + name.dropFirst("norm.".count)]]
        default: return []
        }
      }
      if Self.isLayerScale(rest) { return [[layerScale(block: block, rest.hasPrefix("ls1.") ? .attention : .mlp)]] }
      let prefix = "encoder.layer.\(block)."
      let words = rest.split(separator: ".")
      let (layer, kind) = (words.dropLast().joined(separator: "."), words.last.map(String.init) ?? "")
      return (Self.layers[layer] ?? []).map { $0.map { "\(prefix)\($0).\(kind)" } }
    }
  }

  /// In the words of transformers: of its ViT, then where it differs, of its DINOv2.
  private static let layers: [String: [[String]]] = [
    "norm1": [["layernorm_before"], ["norm1"]],
    "attn.qkv": [["query", "key", "value"].map { "attention.attention.\($0)" }],
    "attn.proj": [["attention.output.dense"]],
    "norm2": [["layernorm_after"], ["norm2"]],
    "mlp.fc1": [["intermediate.dense"], ["mlp.fc1"]],
    "mlp.fc2": [["output.dense"], ["mlp.fc2"]],
  ]

  /// LayerScale's factors of a block's branch, where a network has them.
  func layerScale(block: Int, _ branch: Branch) -> String {
    switch (self, branch) {
    case (.timm, .attention): "blocks.\(block).ls1.gamma"
    case (.timm, .mlp): "blocks.\(block).ls2.gamma"
    case (.transformers, .attention): "encoder.layer.\(block).layer_scale1.lambda1"
    case (.transformers, .mlp): "encoder.layer.\(block).layer_scale2.lambda1"
    }
  }

  /// Whether timm's name is of LayerScale's factors.
  static func isLayerScale(_ name: String) -> Bool { name.hasSuffix(".gamma") }

  /// The branch whose last layer a tensor is of: the layer that LayerScale can be multiplied into.
  static func branchEnd(_ name: String) -> (block: Int, branch: Branch)? {
    guard let (block, rest) = block(of: name) else { return nil }
    if rest.hasPrefix("attn.proj.") { return (block, .attention) }
    return rest.hasPrefix("mlp.fc2.") ? (block, .mlp) : nil
  }

  /// "blocks.3.attn.proj.bias" as 3 and "attn.proj.bias".
  private static func block(of name: String) -> (number: Int, rest: String)? {
    let words = name.split(separator: ".", maxSplits: 2)
    guard words.count == 3, words[0] == "blocks", let number = Int(words[1]) else { return nil }
    return (number, String(words[2]))
  }
}
