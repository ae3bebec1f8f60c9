import Checkpoints
import Durability
import Networks

/// A file with the weights of a Vision Transformer, massl's own or somebody else's: which names it uses, and what its
/// tensors say of the network.
public struct PretrainedNetwork: Sendable {
  /// What follows from the shapes of a backbone's tensors.
  public struct Shape: Sendable, Equatable {
    public let embedDim: Int
    public let depth: Int
    public let patchSize: Int
    /// Patches along a side of the pictures that the position embeddings are made for.
    public let side: Int
    /// Whether the tokens' mean is normalised, not the tokens.
    public let useMeanPooling: Bool
    public let registers: Int
    /// Position embeddings before the patches': of the class token, of DeiT's distillation token or the registers.
    let leadingPositions: Int

    /// In pixels.
    public var imageSize: Int { side * patchSize }
  }

  public let file: SafetensorsFile
  public let shape: Shape
  /// Before the names of the backbone's tensors.
  public let prefix: String
  let naming: TensorNaming
  let names: Set<String>

  var path: String { file.path }

  /// - Throws: `WeightFileError.noBackbone`; `CheckpointError.pyTorch`, `.malformed`; `DurabilityError`.
  public init(_ path: String, in storage: any Storage = FileStorage()) throws {
    file = try SafetensorsFile(path, in: storage)
    let names = Set(file.header.tensors.map(\.name))
    // First transformers, whose name of the class token ends like timm's.
    let found = [TensorNaming.transformers, .timm].lazy.compactMap { naming in
      Self.prefix(of: names, naming).map { (naming, $0) }
    }.first
    guard let found else {
      throw WeightFileError.noBackbone(file: path, reason: "no tensor is called \(TensorNaming.timm.classToken)")
    }
    (self.names, (naming, prefix)) = (names, found)
    shape = try Self.shape(of: file, naming, prefix, names)
  }

  /// Of a file with several networks the teacher's is taken, which the field evaluates too.
  private static func prefix(of names: Set<String>, _ naming: TensorNaming) -> String? {
    func rank(_ name: String) -> (Int, Int, String) { (name.contains("teacher") ? 0 : 1, name.count, name) }
    return names.filter { $0 == naming.classToken || $0.hasSuffix("." + naming.classToken) }
      .min { rank($0) < rank($1) }
      .map { String($0.dropLast(naming.classToken.count)) }
  }

  private static func shape(
    of file: SafetensorsFile, _ naming: TensorNaming, _ prefix: String, _ names: Set<String>
  ) throws -> Shape {
    func wrong(_ reason: String) -> WeightFileError { .noBackbone(file: file.path, reason: reason) }
    /// The file's name of a tensor that stands in it by itself.
    func name(_ tensor: String) -> String? {
      naming.alternatives(for: tensor).compactMap(\.first).map { prefix + $0 }.first(where: names.contains)
    }
    func extents(_ tensor: String, _ count: Int) throws -> [Int] {
      guard let name = name(tensor) else { throw wrong("no tensor is called \(prefix)\(tensor)") }
      let shape = try file.tensor(name).shape
      guard shape.count == count, shape.allSatisfy({ $0 > 0 }) else { throw wrong("\(name) has shape \(shape)") }
      return shape
    }
    let token = try extents("cls_token", 3)
    let patch = try extents("patch_embed.proj.weight", 4)
    let positions = try extents("pos_embed", 3)
    guard patch[1] == 3, patch[2] == patch[3] else { throw wrong("its patches have shape \(Array(patch[1...]))") }
    var registers = 0
    if name("reg_token") != nil {
      let shape = try extents("reg_token", 3)
      guard shape[0] == 1, shape[2] == token[2] else { throw wrong("its register tokens have shape \(shape)") }
      registers = shape[1]
    }
    // Some leave out the class token's, which is then 0; DeiT's distillation token has one too, or registers have.
    // What is likelier first: 9 positions beside 4 registers are 3 x 3 patches, not 2 x 2 with a position for each.
    let leadings = [1, 0, registers > 0 ? 1 + registers : 2]
    let counts = leadings.compactMap { leading -> (leading: Int, side: Int)? in
      var side = 1
      while side * side < positions[1] - leading { side += 1 }
      return side * side == positions[1] - leading ? (leading, side) : nil
    }
    guard let found = counts.first else {
      throw wrong("pos_embed has \(positions[1]) tokens, which are no square and a class token")
    }
    var depth = 0
    while name("blocks.\(depth).norm1.weight") != nil { depth += 1 }
    guard depth > 0 else { throw wrong("there is no \(prefix)blocks.0.norm1.weight") }
    return Shape(
      embedDim: token[2], depth: depth, patchSize: patch[3], side: found.side,
      useMeanPooling: name("fc_norm.weight") != nil, registers: registers, leadingPositions: found.leading)
  }

  /// - Throws: `WeightFileError.otherNetwork`, with the keys whose values do not fit the file.
  public func check(_ architecture: NetworkArchitecture) throws {
    let keys = [
      ("embed_dim", shape.embedDim, architecture.embedDim), ("depth", shape.depth, architecture.depth),
      ("patch_size", shape.patchSize, architecture.patchSize), ("registers", shape.registers, architecture.registers),
    ].filter { $0.1 != $0.2 }
    guard keys.isEmpty else {
      throw WeightFileError.otherNetwork(file: path, keys: keys.map { KeyOfFile(name: $0.0, file: $0.1, wanted: $0.2) })
    }
  }
}
