/// Why a network of the wanted sizes cannot be.
public enum NetworkError: Error, Equatable, CustomStringConvertible {
  case notPositive(key: String, value: Int)
  case unevenHeads(embedDim: Int, numHeads: Int)
  case unevenPatches(side: Int, patchSize: Int)
  case registers(Int)
  case layerScale(Float)
  case dropPathRate(Float)

  public var description: String {
    switch self {
    case .notPositive(let key, let value):
      "\(key) is \(value). Give at least 1."
    case .unevenHeads(let embedDim, let numHeads):
      "embed_dim \(embedDim) cannot be shared by num_heads \(numHeads). Give a width that is a multiple of the heads."
    case .unevenPatches(let side, let patchSize):
      "A picture side of \(side) pixels cannot be cut in patches of \(patchSize). Give a side (image_size, local_size) "
        + "that is a multiple of patch_size."
    case .registers(let count):
      "registers is \(count). Give 0 for none, or how many."
    case .layerScale(let factor):
      "layer_scale is \(factor). Give 0 for none, or a number above it, such as 1e-5."
    case .dropPathRate(let rate):
      "drop_path_rate is \(rate). Give at least 0 and less than 1."
    }
  }
}
