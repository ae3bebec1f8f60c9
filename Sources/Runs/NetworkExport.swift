import Checkpoints
import Configuration
import Durability
import Foundation
import Networks
import Numerics
import ONNXFiles
import Training
import Vision

/// One of a checkpoint's networks, to be written for others.
public struct NetworkExport: Sendable {
  private let definition: RunDefinition
  private let metadata: [String: String]
  private let groups: [TensorGroup]
  private let storage: any Storage

  /// - Parameter file: of the checkpoint: `Checkpoint.teacherFile` or `Checkpoint.studentFile`.
  /// - Throws: `CheckpointError`, `DurabilityError`.
  public init(_ file: String, of checkpoint: Checkpoint, in storage: any Storage) throws {
    definition = try RunDefinition(of: checkpoint.manifest)
    metadata = checkpoint.manifest.metadata
    groups = definition.tensorGroups(
      FloatBuffer(count: definition.layout.count), initialStatistics(layout: definition.statisticsLayout))
    self.storage = storage
    let isStudent = file == Checkpoint.studentFile
    try checkpoint.load(
      CheckpointContent(student: isStudent ? groups : [], teacher: isStudent ? [] : groups, optimizer: []))
  }

  /// All of it, running statistics included, with the names of the reference's state dict.
  /// - Parameter path: replaced whole, or not at all.
  /// - Returns: how many tensors were written.
  /// - Throws: `DurabilityError`.
  public func write(to path: String) throws -> Int {
    try write(groups, to: path)
    return groups.reduce(0) { $0 + $1.entries.count }
  }

  /// The backbone as a folder that `timm.create_model("local-dir:FOLDER", pretrained=True)` loads: `model.safetensors`
  /// with timm's names, then `config.json`, each replaced whole. timm (1.0) makes the network of `model_args`.
  /// - Parameter folder: made if it is not there.
  /// - Returns: how many tensors were written.
  /// - Throws: `DurabilityError`.
  public func write(toTimmFolder folder: String) throws -> Int {
    let (buffer, entries) = timmBackbone()
    let configuration = try JSONEncoder.readable.encode(TimmConfiguration(definition))
    try storage.makeDurableDirectory(folder)
    try write([TensorGroup(buffer: buffer, entries: entries)], to: "\(folder)/model.safetensors")
    try storage.writeAtomically(Array(configuration), to: "\(folder)/config.json")
    return entries.count
  }

  /// With registers, timm's networks give positions to the patches alone (`no_embed_class`): the class token's is added to
  /// the class token.
  private func timmBackbone() -> (FloatBuffer, [TensorEntry]) {
    let tensors = definition.layout.backboneTensors
    var entries = tensors.map { TensorEntry(name: $0.name, shape: $0.tensor.shape, range: $0.tensor.range) }
    let weights = groups[0].buffer
    guard definition.architecture.registers > 0, let token = entries.firstIndex(where: { $0.name == "cls_token" }),
      let positions = entries.firstIndex(where: { $0.name == "pos_embed" })
    else { return (weights, entries) }
    let (width, buffer) = (definition.architecture.embedDim, FloatBuffer(count: weights.count))
    copy(weights.vector, into: buffer.vector)
    let first = entries[positions].range.lowerBound
    for index in 0..<width { buffer[entries[token].range.lowerBound + index] += weights[first + index] }
    entries[positions] = TensorEntry(
      name: "pos_embed", shape: [1, entries[positions].shape[1] - 1, width],
      range: first + width..<entries[positions].range.upperBound)
    return (buffer, entries)
  }

  /// The backbone as a graph of ONNX, with the normalisation of its pictures in the metadata.
  /// - Parameter path: replaced whole, or not at all.
  /// - Returns: how many tensors were written.
  /// - Throws: `ONNXError`, `DurabilityError`.
  public func write(toONNX path: String) throws -> Int {
    let architecture = definition.architecture
    let views = ViewSettings(definition.configuration)
    var metadata = metadata
    metadata["format"] = nil
    metadata["mean"] = decimals(views.mean).map { "\($0)" }.joined(separator: " ")
    metadata["std"] = decimals(views.deviation).map { "\($0)" }.joined(separator: " ")
    metadata["image_size"] = "\(architecture.imageSize)"
    metadata["patch_size"] = "\(architecture.patchSize)"
    let graph = try BackboneGraph(definition.layout, weights: groups[0].buffer, metadata: metadata)
    try storage.writeAtomically(graph.bytes(), to: path)
    return graph.tensors
  }

  private func write(_ groups: [TensorGroup], to path: String) throws {
    let temporary = path + ".tmp"
    do {
      try SafetensorsFile.write(groups, metadata: metadata, to: temporary, in: storage)
      try storage.rename(temporary, to: path)
    } catch {
      try? storage.remove(temporary)
      throw error
    }
    try storage.synchronizeDirectory(parent(of: path))
  }
}

/// timm's config.json of a model.
private struct TimmConfiguration: Encodable {
  /// A name that timm knows; `modelArgs` say how this network is another.
  let architecture = "vit_small_patch16_224"
  let numClasses = 0
  let numFeatures: Int
  let globalPool: String
  let modelArgs: Arguments
  let pretrainedCfg: Input

  struct Arguments: Encodable {
    let imgSize, patchSize, embedDim, depth, numHeads: Int
    let globalPool: String
    let numClasses = 0
    /// Absent where the network has none, as are the others.
    let initValues: Float?
    let regTokens: Int?
    let noEmbedClass: Bool?
  }

  struct Input: Encodable {
    let inputSize: [Int]
    let mean, std: [Double]
    let interpolation = "bicubic"
    let cropPct = 1.0
    let numClasses = 0
    let firstConv = "patch_embed.proj"
    let classifier = "head"
  }

  init(_ definition: RunDefinition) {
    let (architecture, configuration) = (definition.architecture, definition.configuration)
    numFeatures = architecture.embedDim
    globalPool = architecture.useMeanPooling ? "avg" : "token"
    modelArgs = Arguments(
      imgSize: architecture.imageSize, patchSize: architecture.patchSize, embedDim: architecture.embedDim,
      depth: architecture.depth, numHeads: architecture.numHeads, globalPool: globalPool,
      initValues: architecture.hasLayerScale ? architecture.layerScale : nil,
      regTokens: architecture.registers > 0 ? architecture.registers : nil,
      noEmbedClass: architecture.registers > 0 ? true : nil)
    let views = ViewSettings(configuration)
    pretrainedCfg = Input(
      inputSize: [3, architecture.imageSize, architecture.imageSize],
      mean: decimals(views.mean), std: decimals(views.deviation))
  }
}

/// As people write them: 0.485, not the float beside it.
private func decimals(_ values: SIMD3<Float>) -> [Double] { (0..<3).compactMap { Double("\(values[$0])") } }
