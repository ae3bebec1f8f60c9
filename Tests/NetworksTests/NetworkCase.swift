import Networks
import Numerics

/// A small network of odd sizes, with pictures and weights that exercise it; a test sets what it is about.
struct NetworkCase: CustomStringConvertible, Sendable {
  var description: String
  var depth = 2
  var imageSize = 9
  var side = 9
  var images = 3
  var useBNInHead = false
  var useMeanPooling = false
  var registers = 0
  var layerScale: Float = 0
  /// Small ones cut the images into several tiles.
  var rowsAtOnce = BackboneWorkspace.rowsAtOnce
  /// The images whose branch is dropped, by branch.
  var dropped: [Int: [Int]] = [:]

  var architecture: NetworkArchitecture {
    get throws {
      try NetworkArchitecture(
        imageSize: imageSize, patchSize: 3, embedDim: 12, depth: depth, numHeads: 3, headHiddenDim: 10,
        bottleneckDim: 7, useBNInHead: useBNInHead, useMeanPooling: useMeanPooling, registers: registers,
        layerScale: layerScale, dropPathRate: 0.3)
    }
  }

  /// Large enough for every part of the network to matter.
  func parameters() throws -> FloatBuffer {
    let layout = ParameterLayout(try architecture)
    var stream = RandomStream(RandomKey(seed: 5, purpose: .initialization))
    let parameters = FloatBuffer(count: layout.count)
    for tensor in layout.tensors {
      let isNormWeight = !tensor.decays && tensor.name.hasSuffix(".weight")
      for i in tensor.range { parameters[i] = (isNormWeight ? 1 : 0) + stream.uniform(in: Float(-0.5)...0.5) }
    }
    return parameters
  }

  func pixels() -> FloatBuffer {
    var stream = RandomStream(RandomKey(seed: 6, purpose: .synthesis, image: UInt64(side)))
    return FloatBuffer((0..<images * 3 * side * side).map { _ in Float(stream.normal()) })
  }

  func draw() throws -> DropPathDraw? {
    dropped.isEmpty
      ? nil
      : DropPathDraw(try architecture, images: images) { image, branch, _ in dropped[branch]?.contains(image) ?? false }
  }

  /// `[branch][image]`, worked out apart from `DropPathDraw`.
  func scales() -> [[Double]] {
    (0..<2 * depth).map { branch in
      let rate = depth > 1 && !dropped.isEmpty ? Double(Float(0.3)) * Double(branch / 2) / Double(depth - 1) : 0
      return (0..<images).map { image in
        rate > 0 && dropped[branch]?.contains(image) ?? false ? 0 : 1 / (1 - rate)
      }
    }
  }
}

extension NetworkCase {
  static let all = [
    NetworkCase(description: "as published"),
    NetworkCase(description: "BatchNorm head", images: 5, useBNInHead: true),
    NetworkCase(description: "mean pooling", useMeanPooling: true),
    NetworkCase(description: "smaller pictures", side: 6),
    NetworkCase(description: "larger pictures", side: 12, images: 2),
    NetworkCase(description: "one block", depth: 1),
    NetworkCase(description: "drop path", dropped: [2: [1], 3: [0, 2]]),
    NetworkCase(
      description: "drop path, three blocks", depth: 3, images: 4, dropped: [2: [0, 3], 3: [1], 4: [2], 5: [3]]),
    NetworkCase(description: "all images drop the last attention", dropped: [2: [0, 1, 2]]),
    NetworkCase(description: "all images drop the last MLP", dropped: [3: [0, 1, 2]]),
    NetworkCase(
      description: "mean pooling, drop path, smaller pictures", side: 6, useMeanPooling: true,
      dropped: [2: [0], 3: [2]]),
    NetworkCase(
      description: "BatchNorm head, drop path, smaller pictures", side: 6, images: 5, useBNInHead: true,
      dropped: [2: [4], 3: [0, 3]]),
    NetworkCase(description: "tiles of one image", rowsAtOnce: 10),
    NetworkCase(description: "tiles of two images and one, smaller pictures", side: 6, rowsAtOnce: 10),
    NetworkCase(
      description: "tiles, one without a branch", depth: 3, images: 4, rowsAtOnce: 20,
      dropped: [2: [0, 3], 3: [1], 4: [2, 3], 5: [0, 1]]),
    NetworkCase(
      description: "tiles, mean pooling, BatchNorm head", images: 5, useBNInHead: true, useMeanPooling: true,
      rowsAtOnce: 20),
    NetworkCase(description: "LayerScale", layerScale: 0.1),
    NetworkCase(description: "LayerScale, mean pooling, tiles", useMeanPooling: true, layerScale: 0.1, rowsAtOnce: 10),
    NetworkCase(
      description: "LayerScale, drop path, three blocks", depth: 3, images: 4, layerScale: 0.1, rowsAtOnce: 20,
      dropped: [2: [0, 3], 3: [1], 4: [2], 5: [0, 1, 2, 3]]),
    NetworkCase(description: "registers", registers: 2),
    NetworkCase(description: "one register, smaller pictures", side: 6, registers: 1),
    NetworkCase(description: "registers, mean pooling", useMeanPooling: true, registers: 3),
    NetworkCase(
      description: "registers, mean pooling, larger pictures, tiles", side: 12, useMeanPooling: true, registers: 4,
      rowsAtOnce: 20),
    NetworkCase(
      description: "registers, LayerScale, drop path, BatchNorm head, smaller pictures", side: 6, images: 5,
      useBNInHead: true, registers: 4, layerScale: 1e-5, rowsAtOnce: 20, dropped: [2: [4], 3: [0, 3]]),
  ]
}
