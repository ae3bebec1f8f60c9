import Numerics

/// A graph of ONNX's operators, and its constants: what a file of ONNX holds.
///
/// A value of the graph is known by its name: an input, a constant, or what a node puts out.
package struct ONNXModel {
  /// Which set of operators, and which format of the file (2022): what has read both since onnxruntime 1.12.
  package static let operatorSet = 17
  package static let formatVersion = 8

  package struct Node {
    package var operation: String
    /// Empty: left out.
    package var inputs: [String]
    package var outputs: [String]
    package var attributes: [(name: String, value: Attribute)]
  }

  package enum Attribute {
    case integer(Int)
    case integers([Int])
    case float(Float)
    case text(String)
  }

  package struct Constant {
    package enum Values {
      /// Of `weights`.
      case weights(Range<Int>)
      case floats([Float])
      case integers([Int])
    }
    package var name: String
    /// Empty: a scalar.
    package var shape: [Int]
    package var values: Values
  }

  /// A tensor of floats that comes in or goes out.
  package struct Port {
    package enum Extent {
      case fixed(Int)
      /// Any number, the same wherever it has this name.
      case named(String)
    }
    package var name: String
    package var shape: [Extent]
  }

  /// Each after those whose outputs it takes.
  package var nodes: [Node] = []
  package var constants: [Constant] = []
  package var inputs: [Port] = []
  package var outputs: [Port] = []
  /// What the file says of itself.
  package var metadata: [String: String] = [:]
  /// Where the large constants are; not written while the model is in use.
  package let weights: FloatBuffer

  package init(weights: FloatBuffer) { self.weights = weights }
}

// MARK: - Building

extension ONNXModel {
  /// Adds a node with one output, which has its name.
  /// - Returns: that name.
  mutating func add(
    _ name: String, _ operation: String, _ inputs: [String], _ attributes: [(name: String, value: Attribute)] = []
  ) -> String {
    nodes.append(Node(operation: operation, inputs: inputs, outputs: [name], attributes: attributes))
    return name
  }

  /// Adds numbers as a constant, once however often they are asked for.
  /// - Returns: its name.
  mutating func constant(_ name: String, _ shape: [Int], _ values: Constant.Values) -> String {
    if !constants.contains(where: { $0.name == name }) {
      constants.append(Constant(name: name, shape: shape, values: values))
    }
    return name
  }

  /// A list of whole numbers.
  mutating func integers(_ values: [Int]) -> String {
    constant("integers(\(values.map(String.init).joined(separator: ",")))", [values.count], .integers(values))
  }

  /// A whole number that is no list.
  mutating func integer(_ value: Int) -> String { constant("integer(\(value))", [], .integers([value])) }

  mutating func float(_ value: Float) -> String { constant("float(\(value))", [], .floats([value])) }
}
