import Numerics

/// What a layer has just computed, for whoever looks for the value that went wrong.
public struct LayerValues {
  /// The common name of the layer's tensors ("backbone.blocks.0.attn.qkv"), or of what stands between two of them:
  /// "backbone.blocks.0.attn" mixes tokens, "head" scales embeddings to unit length.
  public let layer: String
  /// Whether `values` is the gradient that the layer passes on to the one before it.
  public let isBackward: Bool
  /// `[images.count * n, any]`, n rows an image, image by image.
  public let values: Factor
  /// Places, among the images that `forward` was given, of those that are in `values`.
  public let images: [Int]
}

/// Called after each layer, in the order of computing: a backbone computes its images tile by tile. A workspace without one pays a comparison a layer.
public typealias LayerObserver = (LayerValues) -> Void

extension BackboneWorkspace {
  /// Shows a tile's values to the observer; where there is none the name is not even made.
  ///
  /// - Parameter images: those that are in `values`, counted from the tile's first; all if nil.
  func show(
    _ layer: @autoclosure () -> String, _ values: @autoclosure () -> Factor, of images: [Int]? = nil,
    in tile: ImageTile, backward: Bool = false
  ) {
    guard let observer else { return }
    let images = images?.map { tile.images.lowerBound + $0 } ?? Array(tile.images)
    observer(LayerValues(layer: layer(), isBackward: backward, values: values(), images: images))
  }
}

extension HeadWorkspace {
  /// Shows values, a row an image, to the observer.
  func show(_ layer: (HeadNames) -> String, _ values: Factor, backward: Bool = false) {
    guard let observer else { return }
    observer(
      LayerValues(
        layer: layer(HeadNames(architecture)), isBackward: backward, values: values, images: Array(0..<values.rows)))
  }
}
