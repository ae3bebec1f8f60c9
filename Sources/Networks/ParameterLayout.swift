/// Where each tensor lies in a flat buffer of floats.
///
/// Student, teacher, gradient and the optimizer's moments share one `ParameterLayout`. Tensors follow one another
/// without gaps, the backbone's first, named and ordered as in the reference's state dict; registers and LayerScale, which
/// the reference has not, as in timm's. A network with BatchNorm also has a `StatisticsLayout`, for the running means and
/// variances, which are no parameters.
public struct ParameterLayout: Sendable, Hashable {
  public struct Tensor: Sendable, Hashable {
    public let name: String
    public let shape: [Int]
    /// Floats of the flat buffer.
    public let range: Range<Int>
    /// Whether weight decay applies: to all but biases and other 1-D tensors.
    public let decays: Bool
  }

  public let architecture: NetworkArchitecture
  public let tensors: [Tensor]
  /// Floats in all.
  public let count: Int
  private let indices: [String: Int]

  public init(_ architecture: NetworkArchitecture) {
    self.architecture = architecture
    let (dim, patch, hidden) = (architecture.embedDim, architecture.patchSize, architecture.headHiddenDim)
    var list = TensorList()
    list.add("backbone.cls_token", [1, 1, dim])
    if architecture.registers > 0 { list.add("backbone.reg_token", [1, architecture.registers, dim]) }
    // The registers have no position.
    list.add("backbone.pos_embed", [1, 1 + architecture.trainedSide * architecture.trainedSide, dim])
    list.add("backbone.patch_embed.proj.weight", [dim, 3, patch, patch])
    list.add("backbone.patch_embed.proj.bias", [dim])
    for block in 0..<architecture.depth {
      let prefix = "backbone.blocks.\(block)"
      list.addNorm("\(prefix).norm1", dim)
      list.addLinear("\(prefix).attn.qkv", inputs: dim, outputs: 3 * dim)
      list.addLinear("\(prefix).attn.proj", inputs: dim, outputs: dim)
      if architecture.hasLayerScale { list.add("\(prefix).ls1.gamma", [dim]) }
      list.addNorm("\(prefix).norm2", dim)
      list.addLinear("\(prefix).mlp.fc1", inputs: dim, outputs: architecture.mlpDim)
      list.addLinear("\(prefix).mlp.fc2", inputs: architecture.mlpDim, outputs: dim)
      if architecture.hasLayerScale { list.add("\(prefix).ls2.gamma", [dim]) }
    }
    list.addNorm(architecture.finalNormName, dim)
    let names = HeadNames(architecture)
    list.addLinear(names.linear[0], inputs: dim, outputs: hidden)
    if architecture.useBNInHead { list.addNorm(names.norm[0], hidden) }
    list.addLinear(names.linear[1], inputs: hidden, outputs: hidden)
    if architecture.useBNInHead { list.addNorm(names.norm[1], hidden) }
    list.addLinear(names.linear[2], inputs: hidden, outputs: architecture.bottleneckDim)
    (tensors, count, indices) = (list.tensors, list.count, list.indices)
  }

  /// Before the names of the backbone's tensors; the head's do not begin so.
  public static let backbone = "backbone."

  /// The backbone's tensors, and their names without `backbone`.
  public var backboneTensors: [(name: String, tensor: Tensor)] {
    tensors.filter { $0.name.hasPrefix(Self.backbone) }.map { (String($0.name.dropFirst(Self.backbone.count)), $0) }
  }

  /// The tensor of that name, nil if there is none.
  public subscript(name: String) -> Tensor? { indices[name].map { tensors[$0] } }

  /// Tensors that follow one another, by the layer that they are of: "patch_embed", "blocks.0", "head.mlp.2".
  public var layers: [(name: String, tensors: Range<Int>)] {
    var layers: [(name: String, tensors: Range<Int>)] = []
    for (index, tensor) in tensors.enumerated() {
      let name = Self.layer(of: tensor.name)
      if let last = layers.last, last.name == name {
        layers[layers.count - 1].tensors = last.tensors.lowerBound..<index + 1
      } else {
        layers.append((name, index..<index + 1))
      }
    }
    return layers
  }

  private static func layer(of tensor: String) -> String {
    let words = tensor.split(separator: ".")
    guard words.first == "backbone" else { return words.dropLast().joined(separator: ".") }
    return words.dropFirst().prefix(words[1] == "blocks" ? 2 : 1).joined(separator: ".")
  }
}

/// The running mean and variance of each BatchNorm of the head; empty without BatchNorm.
public struct StatisticsLayout: Sendable, Hashable {
  /// In order; `decays` is false for all.
  public let tensors: [ParameterLayout.Tensor]
  public let count: Int
  private let indices: [String: Int]

  public init(_ architecture: NetworkArchitecture) {
    var list = TensorList()
    if architecture.useBNInHead {
      for norm in HeadNames(architecture).norm {
        list.add("\(norm).running_mean", [architecture.headHiddenDim])
        list.add("\(norm).running_var", [architecture.headHiddenDim])
      }
    }
    (tensors, count, indices) = (list.tensors, list.count, list.indices)
  }

  /// The tensor of that name, nil if there is none.
  public subscript(name: String) -> ParameterLayout.Tensor? { indices[name].map { tensors[$0] } }
}

// MARK: - Names

extension NetworkArchitecture {
  /// With mean pooling the tokens themselves are not normalised, their mean is, under another name.
  var finalNormName: String { useMeanPooling ? "backbone.fc_norm" : "backbone.norm" }
}

/// The head is one list of layers in the reference, GELUs included; its indices are the names.
struct HeadNames {
  let linear: [String]
  let norm: [String]

  init(_ architecture: NetworkArchitecture) {
    if architecture.useBNInHead {
      linear = ["head.mlp.0", "head.mlp.3", "head.mlp.6"]
      norm = ["head.mlp.1", "head.mlp.4"]
    } else {
      linear = ["head.mlp.0", "head.mlp.2", "head.mlp.4"]
      norm = []
    }
  }
}

private struct TensorList {
  var tensors: [ParameterLayout.Tensor] = []
  var count = 0
  var indices: [String: Int] = [:]

  mutating func add(_ name: String, _ shape: [Int]) {
    let size = shape.reduce(1, *)
    indices[name] = tensors.count
    tensors.append(.init(name: name, shape: shape, range: count..<count + size, decays: shape.count > 1))
    count += size
  }

  mutating func addNorm(_ name: String, _ width: Int) {
    add("\(name).weight", [width])
    add("\(name).bias", [width])
  }

  mutating func addLinear(_ name: String, inputs: Int, outputs: Int) {
    add("\(name).weight", [outputs, inputs])
    add("\(name).bias", [outputs])
  }
}
