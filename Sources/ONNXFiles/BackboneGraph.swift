import Networks
import Numerics

/// A backbone as a graph of ONNX: pictures in, features out.
///
/// | name | shape | what it is |
/// | --- | --- | --- |
/// | `pictures` | `[batch, 3, height, width]` | normalised pixels, red, green, blue; sides are multiples of the patch size |
/// | `features` | `[batch, width of the backbone]` | what massl evaluates: the normalised class token, or patches' mean |
/// | `tokens` | `[batch, tokens, width]` | class token, registers, then patches row by row, as timm's `forward_features` gives them |
///
/// Any number of pictures, of any size: the position embeddings of another size are interpolated in the graph, by the same
/// bicubic curve as massl's. Constants have timm's names and shapes.
public struct BackboneGraph {
  /// Protobuf counts bytes of a message in 32 bits with sign.
  public static let bytesAtMost = 1 << 31
  /// For the nodes, and for what stands before each tensor.
  static let bytesBesideWeights = 1 << 24

  package private(set) var model: ONNXModel
  private let layout: ParameterLayout
  private var used: Set<String> = []
  private var missing: [String] = []

  /// - Parameters:
  ///   - weights: laid out by `layout`; not written while this is in use.
  ///   - metadata: what the file shall say of itself.
  ///   - limit: of the file, in bytes.
  /// - Throws: `ONNXError`.
  public init(
    _ layout: ParameterLayout, weights: FloatBuffer, metadata: [String: String], limit: Int = Self.bytesAtMost
  ) throws(ONNXError) {
    self.layout = layout
    model = ONNXModel(weights: weights)
    model.metadata = metadata
    let bytes = layout.backboneTensors.reduce(0) { $0 + 4 * $1.tensor.range.count }
    guard bytes <= limit - Self.bytesBesideWeights else { throw .tooLarge(bytes: bytes, limit: limit) }
    build(layout.architecture)
    let rest = layout.backboneTensors.map(\.name).filter { !used.contains($0) }
    guard missing.isEmpty, rest.isEmpty else { throw .otherNetwork(tensors: missing + rest) }
  }

  /// Tensors of the backbone that are in it.
  public var tensors: Int { used.count }

  /// - Returns: the file.
  public func bytes() -> [UInt8] { model.bytes() }
}

// MARK: - The network

/// B pictures of T tokens, C wide. x is `[B·T, C]` between the layers, as it is in massl.
extension BackboneGraph {
  private mutating func build(_ architecture: NetworkArchitecture) {
    let width = architecture.embedDim
    model.inputs = [.init(name: "pictures", shape: [.named("batch"), .fixed(3), .named("height"), .named("width")])]
    model.outputs = [
      .init(name: "features", shape: [.named("batch"), .fixed(width)]),
      .init(name: "tokens", shape: [.named("batch"), .named("tokens"), .fixed(width)]),
    ]
    let batch = model.add("batch", "Shape", ["pictures"], [("start", .integer(0)), ("end", .integer(1))])
    let tokenShape = model.add("token_shape", "Concat", [batch, model.integers([-1, width])], [("axis", .integer(0))])
    var x = embed(architecture, batch: batch)
    let heads = [-1, 3, architecture.numHeads, width / architecture.numHeads]
    let headShape = model.add("head_shape", "Concat", [batch, model.integers(heads)], [("axis", .integer(0))])
    for block in 0..<architecture.depth { x = self.block("blocks.\(block)", x, architecture, headShape: headShape) }
    if architecture.useMeanPooling {
      let tokens = model.add("tokens", "Reshape", [x, tokenShape])
      let ends = [model.integers([architecture.leadingTokens]), model.integers([.max]), model.integers([1])]
      let patches = model.add("patches", "Slice", [tokens] + ends)
      let mean = model.add("mean", "ReduceMean", [patches], [("axes", .integers([1])), ("keepdims", .integer(0))])
      _ = norm("fc_norm", mean, into: "features")
    } else {
      let tokens = model.add("tokens", "Reshape", [norm("norm", x), tokenShape])
      _ = model.add("features", "Gather", [tokens, model.integer(0)], [("axis", .integer(1))])
    }
  }

  /// Class token, registers and patches; registers have no position.
  private mutating func embed(_ architecture: NetworkArchitecture, batch: String) -> String {
    let (width, patch, side) = (architecture.embedDim, architecture.patchSize, architecture.trainedSide)
    // 1. Patches: [B, C, rows, columns].
    let patches = model.add(
      "patch_embed", "Conv", ["pictures", weight("patch_embed.proj.weight"), weight("patch_embed.proj.bias")],
      [("kernel_shape", .integers([patch, patch])), ("strides", .integers([patch, patch]))])

    // 2. Their positions, for as many as there are: [1, C, rows, columns]. A side of the trained length stays as it is.
    // Another is stretched by a hair more than its length says, which moves the points where the curve is read.
    model.nodes.append(
      .init(
        operation: "Split", inputs: [weight("pos_embed"), model.integers([1, side * side])],
        outputs: ["pos_embed.class", "pos_embed.patches"], attributes: [("axis", .integer(1))]))
    let square = model.add(
      "pos_embed.square", "Reshape", ["pos_embed.patches", model.integers([1, side, side, width])])
    let image = model.add("pos_embed.image", "Transpose", [square], [("perm", .integers([0, 3, 1, 2]))])
    let grid = model.add("grid", "Shape", [patches], [("start", .integer(2)), ("end", .integer(4))])
    let length = model.add("grid.float", "Cast", [grid], [("to", .integer(Self.float))])
    let longer = model.add("grid.longer", "Add", [length, model.float(0.1)])
    let stretch = model.add("grid.stretch", "Div", [longer, model.float(Float(side))])
    let isTrained = model.add("grid.is_trained", "Equal", [grid, model.integers([side, side])])
    let scale = model.add("grid.scale", "Where", [isTrained, model.float(1), stretch])
    let ones = model.constant("ones", [2], .floats([1, 1]))
    let scales = model.add("pos_embed.scales", "Concat", [ones, scale], [("axis", .integer(0))])
    let positions = model.add(
      "pos_embed.resized", "Resize", [image, "", scales],
      [
        ("mode", .text("cubic")), ("cubic_coeff_a", .float(-0.75)),
        ("coordinate_transformation_mode", .text("half_pixel")),
      ])

    // 3. Class token and registers before them: [B·T, C].
    let placed = model.add("patch_embed.placed", "Add", [patches, positions])
    let listed = model.add("patch_embed.listed", "Reshape", [placed, model.integers([0, width, -1])])
    let rows = model.add("patch_embed.rows", "Transpose", [listed], [("perm", .integers([0, 2, 1]))])
    let token = model.add("cls_token.placed", "Add", [weight("cls_token"), "pos_embed.class"])
    var leading = token
    if architecture.registers > 0 {
      leading = model.add("leading", "Concat", [token, weight("reg_token")], [("axis", .integer(1))])
    }
    let leadingShape = model.add(
      "leading.shape", "Concat", [batch, model.integers([architecture.leadingTokens, width])], [("axis", .integer(0))])
    let leadingRows = model.add("leading.rows", "Expand", [leading, leadingShape])
    let all = model.add("embedded", "Concat", [leadingRows, rows], [("axis", .integer(1))])
    return model.add("embedded.flat", "Reshape", [all, model.integers([-1, width])])
  }

  private mutating func block(
    _ name: String, _ x: String, _ architecture: NetworkArchitecture, headShape: String
  ) -> String {
    let width = architecture.embedDim
    // 1. Attention: the only place where a picture's tokens see one another.
    let qkv = linear("\(name).attn.qkv", norm("\(name).norm1", x))
    let parted = model.add("\(name).attn.parted", "Reshape", [qkv, headShape])  // [B, T, 3, heads, D]
    let turned = model.add("\(name).attn.turned", "Transpose", [parted], [("perm", .integers([2, 0, 3, 1, 4]))])
    let parts = ["q", "k", "v"].enumerated().map { index, part in  // [B, heads, T, D]
      model.add("\(name).attn.\(part)", "Gather", [turned, model.integer(index)], [("axis", .integer(0))])
    }
    let headWidth = width / architecture.numHeads
    let queries = model.add(
      "\(name).attn.scaled", "Mul", [parts[0], model.float(1 / Float(headWidth).squareRoot())])
    let keys = model.add("\(name).attn.keys", "Transpose", [parts[1]], [("perm", .integers([0, 1, 3, 2]))])
    let logits = model.add("\(name).attn.logits", "MatMul", [queries, keys])
    let probabilities = model.add("\(name).attn.probabilities", "Softmax", [logits], [("axis", .integer(-1))])
    let mixed = model.add("\(name).attn.mixed", "MatMul", [probabilities, parts[2]])
    let joined = model.add("\(name).attn.joined", "Transpose", [mixed], [("perm", .integers([0, 2, 1, 3]))])
    let flat = model.add("\(name).attn.flat", "Reshape", [joined, model.integers([-1, width])])
    let attended = scaled("\(name).ls1", linear("\(name).attn.proj", flat), architecture)
    let middle = model.add("\(name).middle", "Add", [x, attended])

    // 2. MLP, each token alone.
    let hidden = gelu("\(name).mlp.act", linear("\(name).mlp.fc1", norm("\(name).norm2", middle)))
    return model.add(
      "\(name).output", "Add", [middle, scaled("\(name).ls2", linear("\(name).mlp.fc2", hidden), architecture)])
  }
}

// MARK: - Layers

extension BackboneGraph {
  /// ONNX's number of the type.
  private static let float = 1

  private mutating func norm(_ name: String, _ x: String, into output: String? = nil) -> String {
    model.add(
      output ?? name, "LayerNormalization", [x, weight("\(name).weight"), weight("\(name).bias")],
      [("axis", .integer(-1)), ("epsilon", .float(layerNormEpsilon))])
  }

  private mutating func linear(_ name: String, _ x: String) -> String {
    model.add(name, "Gemm", [x, weight("\(name).weight"), weight("\(name).bias")], [("transB", .integer(1))])
  }

  /// A branch with its factors, where the network has LayerScale.
  private mutating func scaled(_ name: String, _ x: String, _ architecture: NetworkArchitecture) -> String {
    architecture.hasLayerScale ? model.add(name, "Mul", [x, weight("\(name).gamma")]) : x
  }

  /// x (1 + erf(x / √2)) / 2.
  private mutating func gelu(_ name: String, _ x: String) -> String {
    let scaled = model.add("\(name).scaled", "Div", [x, model.float(Float(2).squareRoot())])
    let curve = model.add("\(name).erf", "Erf", [scaled])
    let sum = model.add("\(name).sum", "Add", [curve, model.float(1)])
    let product = model.add("\(name).product", "Mul", [x, sum])
    return model.add(name, "Mul", [product, model.float(0.5)])
  }

  /// A tensor of the backbone, by timm's name.
  private mutating func weight(_ name: String) -> String {
    guard let tensor = layout[ParameterLayout.backbone + name] else {
      missing.append(name)
      return name
    }
    used.insert(name)
    return model.constant(name, tensor.shape, .weights(tensor.range))
  }
}
