/// Why a network is not written as a file of ONNX.
public enum ONNXError: Error, Equatable, CustomStringConvertible {
  /// Its weights do not fit in one file.
  case tooLarge(bytes: Int, limit: Int)
  /// Tensors for which the graph has no place, or that it misses.
  case otherNetwork(tensors: [String])

  public var description: String {
    switch self {
    case .tooLarge(let bytes, let limit):
      "The backbone's weights take \(bytes) bytes, and a file of ONNX holds less than \(limit). Export it with --format timm, "
        + "and convert that with PyTorch, which writes weights beside the file."
    case .otherNetwork(let tensors):
      "massl does not know how to write this network as ONNX: its graph has no place for, or misses, "
        + tensors.prefix(5).joined(separator: ", ") + (tensors.count > 5 ? " and others" : "")
        + ". Export it with --format timm."
    }
  }
}
