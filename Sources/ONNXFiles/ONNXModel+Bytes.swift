internal import CMessages
internal import CProtobufC
import Numerics
import Packing

extension ONNXModel {
  /// The file. Weights are copied once, into it.
  package func bytes() -> [UInt8] {
    let memory = MessageMemory()
    return withExtendedLifetime(memory) {
      weights.withBytes(of: 0..<weights.count) { weights in
        let model = memory.make(Onnx__ModelProto.self, onnx__model_proto__init)
        model.pointee.ir_version = Int64(Self.formatVersion)
        model.pointee.producer_name = memory.text("massl".utf8)
        model.pointee.graph = graph(weights, memory)
        let set = memory.make(Onnx__OperatorSetIdProto.self, onnx__operator_set_id_proto__init)
        set.pointee.version = Int64(Self.operatorSet)
        (model.pointee.n_opset_import, model.pointee.opset_import) = memory.list([set])
        (model.pointee.n_metadata_props, model.pointee.metadata_props) = memory.list(
          metadata.sorted { $0.key < $1.key }.map { key, value in
            let entry = memory.make(Onnx__StringStringEntryProto.self, onnx__string_string_entry_proto__init)
            (entry.pointee.key, entry.pointee.value) = (memory.text(key.utf8), memory.text(value.utf8))
            return entry
          })
        return [UInt8](unsafeUninitializedCapacity: onnx__model_proto__get_packed_size(model)) { bytes, count in
          count = onnx__model_proto__pack(model, bytes.baseAddress)
        }
      }
    }
  }

  private func graph(_ weights: UnsafeRawBufferPointer, _ memory: MessageMemory) -> UnsafeMutablePointer<
    Onnx__GraphProto
  > {
    let graph = memory.make(Onnx__GraphProto.self, onnx__graph_proto__init)
    graph.pointee.name = memory.text("backbone".utf8)
    (graph.pointee.n_node, graph.pointee.node) = memory.list(nodes.map(memory.write))
    (graph.pointee.n_initializer, graph.pointee.initializer) = memory.list(
      constants.map { memory.write($0, weights) })
    (graph.pointee.n_input, graph.pointee.input) = memory.list(inputs.map(memory.write))
    (graph.pointee.n_output, graph.pointee.output) = memory.list(outputs.map(memory.write))
    return graph
  }
}

extension MessageMemory {
  fileprivate func list<C>(
    _ elements: [UnsafeMutablePointer<C>]
  ) -> (Int, UnsafeMutablePointer<UnsafeMutablePointer<C>?>) {
    (elements.count, array(elements.map(Optional.init)))
  }

  private func texts(_ texts: [String]) -> (Int, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) {
    list(texts.map { text($0.utf8) })
  }

  fileprivate func write(_ node: ONNXModel.Node) -> UnsafeMutablePointer<Onnx__NodeProto> {
    let c = make(Onnx__NodeProto.self, onnx__node_proto__init)
    c.pointee.name = text(node.outputs[0].utf8)
    c.pointee.op_type = text(node.operation.utf8)
    (c.pointee.n_input, c.pointee.input) = texts(node.inputs)
    (c.pointee.n_output, c.pointee.output) = texts(node.outputs)
    (c.pointee.n_attribute, c.pointee.attribute) = list(node.attributes.map(write))
    return c
  }

  private func write(
    _ attribute: (name: String, value: ONNXModel.Attribute)
  ) -> UnsafeMutablePointer<Onnx__AttributeProto> {
    let c = make(Onnx__AttributeProto.self, onnx__attribute_proto__init)
    c.pointee.name = text(attribute.name.utf8)
    switch attribute.value {
    case .integer(let value):
      (c.pointee.type, c.pointee.i) = (ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, Int64(value))
    case .integers(let values):
      c.pointee.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS
      (c.pointee.n_ints, c.pointee.ints) = (values.count, array(values.map(Int64.init)))
    case .float(let value):
      (c.pointee.type, c.pointee.f) = (ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, value)
    case .text(let value):
      c.pointee.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING
      c.pointee.s = ProtobufCBinaryData(len: value.utf8.count, data: array(Array(value.utf8)))
    }
    return c
  }

  /// - Parameter weights: lent to the message until it is packed, which only reads them.
  fileprivate func write(
    _ constant: ONNXModel.Constant, _ weights: UnsafeRawBufferPointer
  ) -> UnsafeMutablePointer<Onnx__TensorProto> {
    let c = make(Onnx__TensorProto.self, onnx__tensor_proto__init)
    c.pointee.name = text(constant.name.utf8)
    (c.pointee.n_dims, c.pointee.dims) = (constant.shape.count, array(constant.shape.map(Int64.init)))
    c.pointee.data_type = Int32(ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT.rawValue)
    switch constant.values {
    case .weights(let range):
      let size = MemoryLayout<Float>.size
      c.pointee.raw_data = ProtobufCBinaryData(
        len: range.count * size,
        data: UnsafeMutablePointer(
          mutating: weights.baseAddress?.advanced(by: range.lowerBound * size).assumingMemoryBound(to: UInt8.self)))
    case .floats(let values):
      c.pointee.raw_data = littleEndian(values.map(\.bitPattern))
    case .integers(let values):
      c.pointee.data_type = Int32(ONNX__TENSOR_PROTO__DATA_TYPE__INT64.rawValue)
      c.pointee.raw_data = littleEndian(values)
    }
    return c
  }

  private func littleEndian(_ values: [some FixedWidthInteger]) -> ProtobufCBinaryData {
    let bytes = values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    return ProtobufCBinaryData(len: bytes.count, data: array(bytes))
  }

  fileprivate func write(_ port: ONNXModel.Port) -> UnsafeMutablePointer<Onnx__ValueInfoProto> {
    let shape = make(Onnx__TensorShapeProto.self, onnx__tensor_shape_proto__init)
    (shape.pointee.n_dim, shape.pointee.dim) = list(
      port.shape.map { extent in
        let c = make(Onnx__TensorShapeProto__Dimension.self, onnx__tensor_shape_proto__dimension__init)
        switch extent {
        case .fixed(let value):
          c.pointee.value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
          c.pointee.dim_value = Int64(value)
        case .named(let name):
          c.pointee.value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
          c.pointee.dim_param = text(name.utf8)
        }
        return c
      })
    let tensor = make(Onnx__TypeProto__Tensor.self, onnx__type_proto__tensor__init)
    tensor.pointee.elem_type = Int32(ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT.rawValue)
    tensor.pointee.shape = shape
    let type = make(Onnx__TypeProto.self, onnx__type_proto__init)
    type.pointee.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE
    type.pointee.tensor_type = tensor
    let c = make(Onnx__ValueInfoProto.self, onnx__value_info_proto__init)
    c.pointee.name = text(port.name.utf8)
    c.pointee.type = type
    return c
  }
}
