import Checkpoints
import Networks
import Numerics

/// What a file's backbone came to in a network of massl's.
public struct PretrainedBackbone: Sendable {
  /// Names in the file of the tensors that were used.
  public internal(set) var used: Set<String> = []
  /// How it was made of the file, where that is more than copying: a sentence each.
  public internal(set) var notes: [String] = []
}

extension PretrainedNetwork {
  /// Reads the backbone. The network computes what the file's network does: LayerScale that the network has not is
  /// multiplied into the layer before it, and is 1 where only the network has it. A bias that is absent is 0. Position
  /// embeddings for pictures of another size are interpolated as the network itself does for views of another size.
  /// - Parameter parameters: laid out by `layout`; its head stays as it is.
  /// - Throws: `WeightFileError.otherNetwork`, `.missingTensors`, `.notFinite`; `CheckpointError.otherShape`.
  public func read(_ layout: ParameterLayout, into parameters: FloatBuffer) throws -> PretrainedBackbone {
    try check(layout.architecture)
    var reading = BackboneReading(self, parameters)
    for (name, tensor) in layout.backboneTensors {
      try reading.take(tensor, called: name, layout.architecture)
    }
    guard reading.missing.isEmpty else { throw WeightFileError.missingTensors(file: path, names: reading.missing) }
    return PretrainedBackbone(used: reading.used, notes: reading.notes(layout.architecture))
  }

  /// - Throws: `WeightFileError.notFinite`.
  func finite(_ name: String) throws -> [Float] {
    let floats = try file.floats(of: name)
    let count = floats.count { !$0.isFinite }
    guard count == 0 else { throw WeightFileError.notFinite(file: path, tensor: name, count: count) }
    return floats
  }
}

private struct BackboneReading {
  let network: PretrainedNetwork
  let parameters: FloatBuffer
  var used: Set<String> = []
  var missing: [String] = []
  /// Final norms that the file has not.
  private var plainNorms: [String] = []
  /// Of the file, where the network has none.
  private var multipliedScales = 0
  /// Of the network, where the file has none.
  private var absentScales = 0

  init(_ network: PretrainedNetwork, _ parameters: FloatBuffer) {
    self.network = network
    self.parameters = parameters
  }

  /// - Parameter name: timm's.
  mutating func take(
    _ tensor: ParameterLayout.Tensor, called name: String, _ architecture: NetworkArchitecture
  ) throws {
    let stored = network.naming.alternatives(for: name).map { $0.map { network.prefix + $0 } }
    guard let parts = stored.first(where: { $0.allSatisfy(network.names.contains) }) else {
      return leaveOut(tensor, called: name)
    }
    used.formUnion(parts)
    if name == "pos_embed" {
      return parameters.replace(tensor.range, by: try positions(of: parts[0], side: architecture.trainedSide))
    }
    if name == "reg_token" { return parameters.replace(tensor.range, by: try registers(of: parts[0], tensor.shape)) }
    var floats: [Float] = []
    for part in parts {
      var expected = tensor.shape
      expected[0] /= parts.count
      try check(part, expected)
      floats += try network.finite(part)
    }
    if !architecture.hasLayerScale, let (block, branch) = TensorNaming.branchEnd(name) {
      try scale(&floats, block, branch)
    }
    parameters.replace(tensor.range, by: floats)
  }

  private mutating func leaveOut(_ tensor: ParameterLayout.Tensor, called name: String) {
    let values = parameters.vector(at: tensor.range.lowerBound, count: tensor.range.count)
    if name.hasPrefix("norm.") || name.hasPrefix("fc_norm.") {
      plainNorms.append(name)
      fill(values, with: name.hasSuffix(".weight") ? 1 : 0)
    } else if TensorNaming.isLayerScale(name) {
      absentScales += 1
      fill(values, with: 1)
    } else if name.hasSuffix(".bias") {
      fill(values, with: 0)
    } else {
      missing.append(network.prefix + name)
    }
  }

  /// y + gamma * (W x + b) is y + (gamma * W) x + gamma * b.
  private mutating func scale(_ floats: inout [Float], _ block: Int, _ branch: TensorNaming.Branch) throws {
    let name = network.prefix + network.naming.layerScale(block: block, branch)
    guard network.names.contains(name) else { return }
    try check(name, [network.shape.embedDim])
    let factors = try network.finite(name)
    let width = floats.count / factors.count
    for index in floats.indices { floats[index] *= factors[index / width] }
    if used.insert(name).inserted { multipliedScales += 1 }
  }

  /// All positions of the file.
  private func positions(of name: String) throws -> [Float] {
    let shape = network.shape
    try check(name, [1, shape.leadingPositions + shape.side * shape.side, shape.embedDim])
    return try network.finite(name)
  }

  /// The registers, each with its position where the file gives them some.
  private func registers(of name: String, _ expected: [Int]) throws -> [Float] {
    try check(name, expected)
    var registers = try network.finite(name)
    guard network.shape.leadingPositions == 1 + network.shape.registers,
      let positionsName = network.naming.alternatives(for: "pos_embed").compactMap(\.first).first
    else { return registers }
    let positions = try positions(of: network.prefix + positionsName)
    for index in registers.indices { registers[index] += positions[network.shape.embedDim + index] }
    return registers
  }

  /// The class token's, then the patches', for `side` of them along a side.
  private func positions(of name: String, side: Int) throws -> [Float] {
    let (shape, width) = (network.shape, network.shape.embedDim)
    let stored = try positions(of: name)
    let token = shape.leadingPositions > 0 ? Array(stored[..<width]) : [Float](repeating: 0, count: width)
    let patches = Array(stored[(shape.leadingPositions * width)...])
    return token + positionEmbeddings(of: patches, trainedSide: shape.side, side: side, width: width)
  }

  private func check(_ name: String, _ expected: [Int]) throws {
    let found = try network.file.tensor(name).shape
    guard found == expected else {
      throw CheckpointError.otherShape(file: network.path, tensor: name, found: found, expected: expected)
    }
  }

  func notes(_ architecture: NetworkArchitecture) -> [String] {
    var notes: [String] = []
    let (side, own) = (network.shape.side, architecture.trainedSide)
    if side != own {
      notes.append(
        "The position embeddings of \(network.path), for \(side) x \(side) patches, are interpolated to \(own) x \(own)."
      )
    }
    if multipliedScales > 0 {
      notes.append("Its \(multipliedScales) LayerScales are multiplied into the layers before them.")
    }
    if absentScales > 0 { notes.append("It has no LayerScale: that of this network begins at 1.") }
    if !plainNorms.isEmpty { notes.append("It has no \(plainNorms.joined(separator: ", ")): they are 1 and 0.") }
    return notes
  }
}

extension FloatBuffer {
  /// - Parameter floats: as many as the range has.
  func replace(_ range: Range<Int>, by floats: [Float]) {
    invariant(floats.count == range.count, "\(floats.count) floats for a range of \(range.count)")
    withMutableBytes(of: range) { target in floats.withUnsafeBytes { target.copyMemory(from: $0) } }
  }
}
