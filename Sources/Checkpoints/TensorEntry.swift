import Networks
import Numerics

/// A tensor's place in a buffer: its name, its shape, and the floats that it takes.
public struct TensorEntry: Hashable, Sendable {
  public let name: String
  public let shape: [Int]
  /// As many floats as the shape's product.
  public let range: Range<Int>

  public init(name: String, shape: [Int], range: Range<Int>) {
    invariant(shape.reduce(1, *) == range.count, "\(name): shape \(shape) in \(range.count) floats")
    self.name = name
    self.shape = shape
    self.range = range
  }

  /// A network's tensor, where its layout puts it.
  public init(_ tensor: ParameterLayout.Tensor) {
    self.init(name: tensor.name, shape: tensor.shape, range: tensor.range)
  }
}

/// Tensors that lie in one buffer, with a prefix that sets their names apart from those of others in the same file.
public struct TensorGroup: Sendable {
  /// Put before each name in the file: "exp_avg." for the first moments, "" for parameters.
  public let prefix: String
  public let buffer: FloatBuffer
  public let entries: [TensorEntry]

  public init(prefix: String = "", buffer: FloatBuffer, entries: [TensorEntry]) {
    self.prefix = prefix
    self.buffer = buffer
    self.entries = entries
  }
}
