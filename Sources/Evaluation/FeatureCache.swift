import Checkpoints
import Durability
import Foundation
import Machine
import Numerics
import Training
import Vision

/// A folder of features, so that the next evaluation of the same weights and pictures need not compute them.
///
/// A file for each `FeatureKey`, in safetensors: `features`, `[pictures, width]` as the backbone gives them, in the order
/// of the pictures' paths, and in its metadata what they are of, their digest, and the pictures that were skipped, whose
/// rows are 0. A file that is damaged, or is of something else, is never used.
public struct FeatureCache: Sendable {
  public let folder: String
  private let storage: any Storage

  public init(_ folder: String, in storage: any Storage = FileStorage()) {
    self.folder = folder
    self.storage = storage
  }

  public func path(_ key: FeatureKey) -> String { "\(folder)/features-\(key.digest).safetensors" }
}

/// What features follow from, bit by bit. Of the pictures' files only paths and sizes count, as for a run.
public struct FeatureKey: Sendable {
  let count: Int
  let width: Int
  /// Written into the file, for people and to be compared.
  let metadata: [String: String]
  /// For people and other programs alone: which network, and the folder's path when the features were made.
  let remarks: [String: String]
  public let digest: Digest

  /// Raised by whatever changes how features are made.
  private static let version = 1

  public init(
    _ network: FrozenNetwork, _ source: FrozenFeatures.Source, _ parameters: FloatBuffer, of pictures: PictureSelection,
    in computeClass: ComputeClass
  ) {
    let architecture = network.architecture
    let views = ViewSettings(network.configuration)
    count = pictures.count
    width = architecture.embedDim
    let sizes = [
      ("image_size", architecture.imageSize), ("patch_size", architecture.patchSize),
      ("embed_dim", architecture.embedDim), ("depth", architecture.depth), ("num_heads", architecture.numHeads),
      ("mlp_ratio", architecture.mlpRatio),
    ]
    var metadata = [
      "format": "massl features \(Self.version)",
      "backbone": "\(network.backboneDigest(parameters))",
      "architecture": sizes.map { "\($0) \($1)" }.joined(separator: ", ")
        + ", use_mean_pooling \(architecture.useMeanPooling)",
      "normalization": "mean \(views.mean), deviation \(views.deviation)",
      "compute_class": computeClass.rawValue,
      "data": "\(pictures.dataSet.identity.digest)",
      "data_pictures": "\(pictures.dataSet.identity.count)",
    ]
    if network.configuration.exifOrientation { metadata["orientation"] = "as EXIF says" }
    // Which of them, in 8 bytes each.
    metadata["pictures"] = "\(pictures.indices.withUnsafeBytes { Digest(of: $0) })"
    self.metadata = metadata
    remarks = ["network": source.rawValue, "folder": pictures.dataSet.root]
    digest = Digest(of: metadata.sorted { $0.key < $1.key }.flatMap { Array("\($0.key)=\($0.value)\n".utf8) })
  }
}

extension FrozenNetwork {
  /// Of the backbone's tensors alone: the head is no part of a feature.
  func backboneDigest(_ parameters: FloatBuffer) -> Digest {
    let state = DigestState()
    for (_, tensor) in layout.backboneTensors {
      state.update(Array(tensor.name.utf8))
      parameters.withBytes(of: tensor.range) { state.update($0) }
    }
    return state.digest
  }
}

/// A picture that was skipped, as the metadata have it.
private struct SkippedRecord: Codable {
  let place: Int
  let path: String
  let reason: String
}

// MARK: - Reading

extension FeatureCache {
  /// Features that were kept; nil if there are none.
  /// - Throws: `CheckpointError`, `DurabilityError`: the file is damaged, of something else, or cannot be read.
  public func rows(_ key: FeatureKey) throws -> FeatureRows? {
    let path = path(key)
    guard try storage.exists(path) else { return nil }
    let file = try SafetensorsFile(path, in: storage)
    func refuse(_ reason: String) -> CheckpointError { .malformed(file: path, tensor: nil, reason: reason) }
    for (name, value) in key.metadata.sorted(by: { $0.key < $1.key }) where file.header.metadata[name] != value {
      throw refuse("holds features of another \(name)")
    }
    var rows = FeatureRows(count: key.count, width: key.width)
    try file.read(Self.tensor, into: Self.entry(of: rows), of: rows.buffer)
    guard file.header.metadata[Self.digest] == "\(rows.buffer.digest)" else {
      throw refuse("holds features that do not match their digest")
    }
    let text = Data((file.header.metadata[Self.skipped] ?? "").utf8)
    guard let records = try? JSONDecoder().decode([SkippedRecord].self, from: text),
      records.allSatisfy({ (0..<key.count).contains($0.place) })
    else { throw refuse("does not say which pictures were skipped") }
    for record in records { rows.skipped[record.place] = SkippedPicture(path: record.path, reason: record.reason) }
    return rows
  }

  private static let tensor = "features"
  private static let digest = "digest"
  private static let skipped = "skipped"
  /// More skipped pictures than these are kept nowhere: a header is no place for them.
  private static let skippedAtMost = 10_000

  private static func entry(of rows: FeatureRows) -> TensorEntry {
    TensorEntry(name: tensor, shape: [rows.count, rows.width], range: 0..<rows.count * rows.width)
  }
}

// MARK: - Writing

extension FeatureCache {
  /// Keeps features: whole under their name, or not at all.
  /// - Throws: `DurabilityError`.
  public func keep(_ rows: FeatureRows, as key: FeatureKey) throws {
    guard rows.skipped.count <= Self.skippedAtMost else { return }
    try storage.makeDurableDirectory(folder)
    let records = rows.skipped.sorted { $0.key < $1.key }
      .map { SkippedRecord(place: $0.key, path: $0.value.path, reason: $0.value.reason) }
    var metadata = key.metadata.merging(key.remarks) { known, _ in known }
    metadata[Self.digest] = "\(rows.buffer.digest)"
    metadata[Self.skipped] = String(decoding: try JSONEncoder().encode(records), as: UTF8.self)
    let path = path(key)
    // Of this process alone: two evaluations may begin at once.
    let temporary = "\(path).\(ProcessInfo.processInfo.processIdentifier).tmp"
    do {
      let group = TensorGroup(buffer: rows.buffer, entries: [Self.entry(of: rows)])
      try SafetensorsFile.write([group], metadata: metadata, to: temporary, in: storage)
      try storage.rename(temporary, to: path)
    } catch {
      try? storage.remove(temporary)
      throw error
    }
    try storage.synchronizeDirectory(folder)
  }
}
