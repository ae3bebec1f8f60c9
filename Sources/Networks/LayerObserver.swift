import Numerics

/// What a layer has just computed, for whoever looks for the value that went wrong.
public struct LayerValues {
  /// The common name of the layer's tensors ("backbone.blocks.0.attn.qkv"), or of what stands between two of them:
  /// "backbone.blocks.0.attn" mixes tokens, "head" scales embeddings to unit length.
  public let layer: String
  /// Whether `values` is the gradient that the layer passes on to the one before it.
  public let isBackward: Bool
  /// `[images.count * n, any]`, n rows an image, image by image.
  public let values: Matrix
  /// Places, among the images that `forward` was given, of those that are in `values`.
  public let images: [Int]
}

/// Called after each layer, in the order of computing. A workspace without one pays a comparison a layer.
public typealias LayerObserver = (LayerValues) -> Void

extension BackboneWorkspace {
  /// Shows values to the observer; where there is none the name is not even made.
  func show(
    _ layer: @autoclosure () -> String, _ values: @autoclosure () -> Matrix, of images: [Int]? = nil,
    backward: Bool = false
  ) {
    guard let observer else { return }
    observer(
      LayerValues(
        layer: layer(), isBackward: backward, values: values(), images: images ?? Array(0..<self.images)))
  }
}

extension HeadWorkspace {
  /// Shows values, a row an image, to the observer.
  func show(_ layer: (HeadNames) -> String, _ values: Matrix, backward: Bool = false) {
    guard let observer else { return }
    observer(
      LayerValues(
        layer: layer(HeadNames(architecture)), isBackward: backward, values: values, images: Array(0..<values.rows)))
  }
}
