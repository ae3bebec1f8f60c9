import CMessages
import CProtobufC
import Foundation

/// Runs a file of ONNX by the operators' definitions, naively: each value is a list of doubles and its extents.
///
/// It knows the operators, and of them the attributes, that massl writes; anything else is an error.
struct ONNXInterpreter {
  struct Value {
    var shape: [Int]
    var values: [Double]

    var integers: [Int] { values.map { Int(exactly: $0) ?? .max } }
  }

  enum Failure: Error {
    case malformed
    case unknown(String)
  }

  struct Node {
    var operation: String
    var inputs: [String]
    var outputs: [String]
    var integers: [String: [Int]] = [:]
    var floats: [String: Double] = [:]
    var texts: [String: String] = [:]
  }

  private(set) var nodes: [Node] = []
  private(set) var constants: [String: Value] = [:]
  private(set) var inputs: [String: [String]] = [:]
  private(set) var outputs: [String: [String]] = [:]
  private(set) var metadata: [String: String] = [:]
  private(set) var versions: [Int64] = []

  init(_ bytes: [UInt8]) throws {
    guard let model = onnx__model_proto__unpack(nil, bytes.count, bytes) else { throw Failure.malformed }
    defer { onnx__model_proto__free_unpacked(model, nil) }
    guard let graph = model.pointee.graph?.pointee else { throw Failure.malformed }
    versions =
      [model.pointee.ir_version] + list(model.pointee.n_opset_import, model.pointee.opset_import).map(\.version)
    for entry in list(model.pointee.n_metadata_props, model.pointee.metadata_props) {
      metadata[String(cString: entry.key)] = String(cString: entry.value)
    }
    inputs = ports(graph.n_input, graph.input)
    outputs = ports(graph.n_output, graph.output)
    for tensor in list(graph.n_initializer, graph.initializer) {
      constants[String(cString: tensor.name)] = try value(tensor)
    }
    nodes = try list(graph.n_node, graph.node).map(node)
  }

  private func list<C>(_ count: Int, _ elements: UnsafeMutablePointer<UnsafeMutablePointer<C>?>?) -> [C] {
    (0..<count).compactMap { elements?[$0]?.pointee }
  }

  private func ports(
    _ count: Int, _ ports: UnsafeMutablePointer<UnsafeMutablePointer<Onnx__ValueInfoProto>?>?
  ) -> [String: [String]] {
    var result: [String: [String]] = [:]
    for port in list(count, ports) {
      guard let shape = port.type?.pointee.tensor_type?.pointee.shape?.pointee else { continue }
      result[String(cString: port.name)] = list(shape.n_dim, shape.dim).map {
        $0.value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
          ? "\($0.dim_value)" : String(cString: $0.dim_param)
      }
    }
    return result
  }

  private func value(_ tensor: Onnx__TensorProto) throws -> Value {
    let shape = (0..<tensor.n_dims).map { Int(tensor.dims[$0]) }
    let bytes = UnsafeRawBufferPointer(start: tensor.raw_data.data, count: tensor.raw_data.len)
    let count = shape.reduce(1, *)
    let isFloat = tensor.data_type == Int32(ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT.rawValue)
    guard bytes.count == count * (isFloat ? 4 : 8) else { throw Failure.malformed }
    let values = (0..<count).map { index in
      isFloat
        ? Double(Float(bitPattern: bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)))
        : Double(bytes.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self))
    }
    return Value(shape: shape, values: values)
  }

  private func node(_ node: Onnx__NodeProto) throws -> Node {
    func texts(_ count: Int, _ texts: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> [String] {
      (0..<count).compactMap { texts?[$0].map { String(cString: $0) } }
    }
    var result = Node(
      operation: String(cString: node.op_type), inputs: texts(node.n_input, node.input),
      outputs: texts(node.n_output, node.output))
    for attribute in list(node.n_attribute, node.attribute) {
      let name = String(cString: attribute.name)
      switch attribute.type {
      case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT: result.integers[name] = [Int(attribute.i)]
      case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        result.integers[name] = (0..<attribute.n_ints).map { Int(attribute.ints[$0]) }
      case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT: result.floats[name] = Double(attribute.f)
      case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        let bytes = UnsafeBufferPointer(start: attribute.s.data, count: attribute.s.len)
        result.texts[name] = String(decoding: bytes, as: UTF8.self)
      default: throw Failure.unknown("attribute \(name)")
      }
    }
    return result
  }
}

// MARK: - Running

extension ONNXInterpreter {
  /// - Returns: every value of the graph, by name.
  func run(_ inputs: [String: Value]) throws -> [String: Value] {
    var values = constants.merging(inputs) { constant, _ in constant }
    for node in nodes {
      let given = try node.inputs.map { name in
        if name.isEmpty { return Value(shape: [], values: []) }
        guard let value = values[name] else { throw Failure.unknown("value \(name)") }
        return value
      }
      for (name, value) in zip(node.outputs, try compute(node, given)) {
        guard values[name] == nil else { throw Failure.unknown("second \(name)") }
        values[name] = value
      }
    }
    return values
  }

  private func compute(_ node: Node, _ x: [Value]) throws -> [Value] {
    let axis = node.integers["axis"]?.first ?? 0
    switch node.operation {
    case "Add": return [pairwise(x[0], x[1], +)]
    case "Mul": return [pairwise(x[0], x[1], *)]
    case "Div": return [pairwise(x[0], x[1], /)]
    case "Equal": return [pairwise(x[0], x[1]) { $0 == $1 ? 1 : 0 }]
    case "Erf": return [Value(shape: x[0].shape, values: x[0].values.map(erf))]
    case "Cast": return [x[0]]
    case "Shape":
      let range = (node.integers["start"]?.first ?? 0)..<(node.integers["end"]?.first ?? x[0].shape.count)
      return [Value(shape: [range.count], values: x[0].shape[range].map(Double.init))]
    case "Where":
      let chosen = pairwise(x[0], x[1]) { $0 == 1 ? $1 : .nan }
      return [pairwise(chosen, x[2]) { $0.isNaN ? $1 : $0 }]
    case "Reshape":
      var shape = x[1].integers.enumerated().map { $1 == 0 ? x[0].shape[$0] : $1 }
      if let free = shape.firstIndex(of: -1) {
        shape[free] = 1
        shape[free] = x[0].values.count / shape.reduce(1, *)
      }
      guard shape.reduce(1, *) == x[0].values.count else { throw Failure.malformed }
      return [Value(shape: shape, values: x[0].values)]
    case "Transpose": return [transposed(x[0], node.integers["perm"] ?? [])]
    case "Expand":
      return [pairwise(x[0], Value(shape: x[1].integers, values: ones(x[1].integers)), *)]
    case "Concat": return [concatenated(x, axis)]
    case "Split":
      var start = 0
      return x[1].integers.map { count in
        defer { start += count }
        return slice(x[0], axis, start..<start + count)
      }
    case "Slice":
      let axis = x[3].integers[0]
      return [slice(x[0], axis, x[1].integers[0]..<min(x[2].integers[0], x[0].shape[axis]))]
    case "Gather":
      guard x[1].shape.isEmpty else { throw Failure.unknown("Gather of a list") }
      var one = slice(x[0], axis, x[1].integers[0]..<x[1].integers[0] + 1)
      one.shape.remove(at: axis)
      return [one]
    case "ReduceMean": return [mean(x[0], axis: node.integers["axes"]?[0] ?? 0)]
    case "MatMul": return [product(x[0], x[1])]
    case "Gemm":
      guard node.integers["transB"] == [1] else { throw Failure.unknown("Gemm") }
      return [pairwise(product(x[0], transposed(x[1], [1, 0])), x[2], +)]
    case "Softmax": return [rows(x[0]) { row in softmax(row) }]
    case "LayerNormalization":
      let epsilon = node.floats["epsilon"] ?? 1e-5
      return [pairwise(pairwise(rows(x[0]) { normalized($0, epsilon) }, x[1], *), x[2], +)]
    case "Conv": return [convolution(x[0], x[1], x[2], stride: node.integers["strides"]?[0] ?? 1)]
    case "Resize":
      guard node.texts == ["mode": "cubic", "coordinate_transformation_mode": "half_pixel"] else {
        throw Failure.unknown("Resize")
      }
      return [resized(x[0], scales: x[2].values, a: node.floats["cubic_coeff_a"] ?? -0.75)]
    default: throw Failure.unknown(node.operation)
    }
  }
}

// MARK: - Operators

private typealias Value = ONNXInterpreter.Value

private func ones(_ shape: [Int]) -> [Double] { [Double](repeating: 1, count: shape.reduce(1, *)) }

/// Floats from one element of each axis to the next.
private func strides(_ shape: [Int]) -> [Int] {
  var strides = [Int](repeating: 1, count: shape.count)
  for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
  return strides
}

/// With the axes of each that are 1 repeated, and missing ones put before.
private func pairwise(_ a: Value, _ b: Value, _ body: (Double, Double) -> Double) -> Value {
  let rank = max(a.shape.count, b.shape.count)
  let shapes = [a, b].map { [Int](repeating: 1, count: rank - $0.shape.count) + $0.shape }
  let shape = zip(shapes[0], shapes[1]).map { $0 == 1 ? $1 : $0 }
  let steps = shapes.map { shape in zip(strides(shape), shape).map { $1 == 1 ? 0 : $0 } }
  let own = strides(shape)
  let values = (0..<shape.reduce(1, *)).map { place in
    var (first, second) = (0, 0)
    for axis in shape.indices {
      let index = place / own[axis] % shape[axis]
      first += index * steps[0][axis]
      second += index * steps[1][axis]
    }
    return body(a.values[first], b.values[second])
  }
  return Value(shape: shape, values: values)
}

private func transposed(_ x: Value, _ order: [Int]) -> Value {
  let shape = order.map { x.shape[$0] }
  let (from, own) = (order.map { strides(x.shape)[$0] }, strides(shape))
  return Value(
    shape: shape,
    values: x.values.indices.map { place in
      x.values[shape.indices.reduce(0) { $0 + place / own[$1] % shape[$1] * from[$1] }]
    })
}

private func slice(_ x: Value, _ axis: Int, _ range: Range<Int>) -> Value {
  let inner = x.shape[(axis + 1)...].reduce(1, *)
  let outer = x.shape[..<axis].reduce(1, *)
  var shape = x.shape
  shape[axis] = range.count
  let values = (0..<outer).flatMap { index in
    x.values[(index * x.shape[axis] + range.lowerBound) * inner..<(index * x.shape[axis] + range.upperBound) * inner]
  }
  return Value(shape: shape, values: values)
}

private func concatenated(_ parts: [Value], _ axis: Int) -> Value {
  var shape = parts[0].shape
  shape[axis] = parts.reduce(0) { $0 + $1.shape[axis] }
  let values = (0..<shape[..<axis].reduce(1, *)).flatMap { outer in
    parts.flatMap { part in
      let size = part.shape[axis...].reduce(1, *)
      return part.values[outer * size..<(outer + 1) * size]
    }
  }
  return Value(shape: shape, values: values)
}

private func mean(_ x: Value, axis: Int) -> Value {
  let parts = (0..<x.shape[axis]).map { slice(x, axis, $0..<$0 + 1) }
  var sum = parts.dropFirst().reduce(parts[0]) { pairwise($0, $1, +) }
  sum.shape.remove(at: axis)
  return Value(shape: sum.shape, values: sum.values.map { $0 / Double(parts.count) })
}

/// Of the last two axes; those before are alike.
private func product(_ a: Value, _ b: Value) -> Value {
  let (rows, inner, columns) = (a.shape[a.shape.count - 2], a.shape[a.shape.count - 1], b.shape[b.shape.count - 1])
  let count = a.values.count / (rows * inner)
  var values = [Double](repeating: 0, count: count * rows * columns)
  for matrix in 0..<count {
    for row in 0..<rows {
      for term in 0..<inner {
        let factor = a.values[(matrix * rows + row) * inner + term]
        for column in 0..<columns {
          values[(matrix * rows + row) * columns + column] +=
            factor * b.values[(matrix * inner + term) * columns + column]
        }
      }
    }
  }
  return Value(shape: a.shape.dropLast() + [columns], values: values)
}

private func rows(_ x: Value, _ body: ([Double]) -> [Double]) -> Value {
  let width = x.shape[x.shape.count - 1]
  let values = stride(from: 0, to: x.values.count, by: width).flatMap { body(Array(x.values[$0..<$0 + width])) }
  return Value(shape: x.shape, values: values)
}

private func softmax(_ row: [Double]) -> [Double] {
  let powers = row.map { exp($0 - (row.max() ?? 0)) }
  return powers.map { $0 / powers.reduce(0, +) }
}

private func normalized(_ row: [Double], _ epsilon: Double) -> [Double] {
  let mean = row.reduce(0, +) / Double(row.count)
  let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
  return row.map { ($0 - mean) / (variance + epsilon).squareRoot() }
}

/// Without padding.
private func convolution(_ x: Value, _ kernel: Value, _ bias: Value, stride: Int) -> Value {
  let (batch, channels, height, width) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
  let (outputs, side) = (kernel.shape[0], kernel.shape[2])
  let shape = [batch, outputs, (height - side) / stride + 1, (width - side) / stride + 1]
  var values: [Double] = []
  for image in 0..<batch {
    for output in 0..<outputs {
      for row in 0..<shape[2] {
        for column in 0..<shape[3] {
          var sum = bias.values[output]
          for channel in 0..<channels {
            for y in 0..<side {
              for x0 in 0..<side {
                let pixel = ((image * channels + channel) * height + row * stride + y) * width + column * stride + x0
                sum += x.values[pixel] * kernel.values[((output * channels + channel) * side + y) * side + x0]
              }
            }
          }
          values.append(sum)
        }
      }
    }
  }
  return Value(shape: shape, values: values)
}

/// Of the last two axes, one after the other.
private func resized(_ x: Value, scales: [Double], a: Double) -> Value {
  var x = x
  for axis in [2, 3] {
    let count = Int((Double(x.shape[axis]) * scales[axis]).rounded(.down))
    let samples = (0..<count).map { index -> Value in
      let position = (Double(index) + 0.5) / scales[axis] - 0.5
      let first = position.rounded(.down)
      let t = position - first
      func near(_ x: Double) -> Double { ((a + 2) * x - (a + 3)) * x * x + 1 }
      func far(_ x: Double) -> Double { ((a * x - 5 * a) * x + 8 * a) * x - 4 * a }
      let taps = [far(t + 1), near(t), near(1 - t), far(2 - t)].enumerated().map { tap, weight in
        let source = min(max(Int(first) - 1 + tap, 0), x.shape[axis] - 1)
        return pairwise(slice(x, axis, source..<source + 1), Value(shape: [], values: [weight]), *)
      }
      return taps.dropFirst().reduce(taps[0]) { pairwise($0, $1, +) }
    }
    x = concatenated(samples, axis)
  }
  return x
}
