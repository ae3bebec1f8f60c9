import Durability
import Networks
import Numerics

/// A safetensors file, open for reading: its header is read and checked, its tensors when they are asked for.
public struct SafetensorsFile: Sendable {
  public let path: String
  public let header: SafetensorsHeader
  /// Of length and JSON: of all bytes before the tensors'.
  public let headerDigest: Digest
  private let file: any StorageFile
  private let tensors: [String: SafetensorsHeader.Tensor]

  /// - Throws: `CheckpointError.malformed`, naming file and tensor; `.pyTorch`; `DurabilityError`.
  public init(_ path: String, in storage: any Storage) throws {
    self.path = path
    file = try storage.open(path, .reading)
    let fileSize = try file.size()
    guard fileSize >= 8 else {
      throw CheckpointError.malformed(
        file: path, tensor: nil, reason: "has \(fileSize) bytes, not even a header's length")
    }
    var prefix = [UInt8](repeating: 0, count: 8)
    try prefix.withUnsafeMutableBytes { [file] in try file.read(at: 0, into: $0) }
    if Self.isPyTorch(prefix) { throw CheckpointError.pyTorch(file: path) }
    var json = [UInt8](
      repeating: 0, count: try SafetensorsHeader.length(from: prefix, file: path, fileSize: fileSize))
    try json.withUnsafeMutableBytes { [file] in try file.read(at: 8, into: $0) }
    header = try SafetensorsHeader(json: json, file: path, fileSize: fileSize)
    headerDigest = Digest(of: prefix + json)
    tensors = Dictionary(uniqueKeysWithValues: header.tensors.map { ($0.name, $0) })
  }

  /// Whether a file begins as `torch.save` writes it: a zip archive, or, before PyTorch 1.6, pickled right away (which as
  /// a header's length is more than the format allows).
  private static func isPyTorch(_ prefix: [UInt8]) -> Bool {
    prefix.starts(with: [UInt8(ascii: "P"), UInt8(ascii: "K"), 3, 4])
      || (prefix[0] == 0x80 && (2...5).contains(prefix[1]) && prefix[4...].contains { $0 != 0 })
  }

  public func tensor(_ name: String) throws -> SafetensorsHeader.Tensor {
    guard let tensor = tensors[name] else { throw CheckpointError.missingTensor(file: path, tensor: name) }
    return tensor
  }

  /// The bytes of a tensor as they stand in the file.
  public func bytes(of name: String) throws -> [UInt8] {
    let tensor = try tensor(name)
    var bytes = [UInt8](repeating: 0, count: tensor.bytes.count)
    try bytes.withUnsafeMutableBytes { try file.read(at: tensor.bytes.lowerBound, into: $0) }
    return bytes
  }
}

// MARK: - As floats

extension SafetensorsFile {
  /// A tensor of any type but BOOL, as floats (rounded where the type holds more).
  public func floats(of name: String) throws -> [Float] {
    let tensor = try tensor(name)
    let bytes = try bytes(of: name)
    return bytes.withUnsafeBytes { bytes in
      func elements<Element: FixedWidthInteger>(_ type: Element.Type, _ float: (Element) -> Float) -> [Float] {
        (0..<tensor.count).map {
          float(Element(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * tensor.type.size, as: type)))
        }
      }
      return switch tensor.type {
      case .float64: elements(UInt64.self) { Float(Double(bitPattern: $0)) }
      case .float32: elements(UInt32.self) { Float(bitPattern: $0) }
      case .float16: elements(UInt16.self, Self.float(ofHalf:))
      case .bfloat16: elements(UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
      case .int64: elements(Int64.self) { Float($0) }
      case .int32: elements(Int32.self) { Float($0) }
      case .int16: elements(Int16.self) { Float($0) }
      case .int8: elements(Int8.self) { Float($0) }
      case .uint64: elements(UInt64.self) { Float($0) }
      case .uint32: elements(UInt32.self) { Float($0) }
      case .uint16: elements(UInt16.self) { Float($0) }
      case .uint8, .boolean: elements(UInt8.self) { Float($0) }
      }
    }
  }

  /// A tensor of 64-bit or smaller signed integers or bytes.
  public func integers(of name: String) throws -> [Int] {
    let tensor = try tensor(name)
    let bytes = try bytes(of: name)
    return try bytes.withUnsafeBytes { bytes in
      func elements<Element: FixedWidthInteger>(_ type: Element.Type) -> [Int] {
        (0..<tensor.count).map {
          Int(Element(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * tensor.type.size, as: type)))
        }
      }
      switch tensor.type {
      case .int64: return elements(Int64.self)
      case .int32: return elements(Int32.self)
      case .int16: return elements(Int16.self)
      case .int8: return elements(Int8.self)
      case .uint32: return elements(UInt32.self)
      case .uint16: return elements(UInt16.self)
      case .uint8, .boolean: return elements(UInt8.self)
      case .float64, .float32, .float16, .bfloat16, .uint64:
        throw CheckpointError.malformed(
          file: path, tensor: name, reason: "is of type \(tensor.type.rawValue) where integers are wanted")
      }
    }
  }

  /// Reads a tensor into a range of a buffer, without a copy if it is fp32.
  /// - Parameter name: as it stands in the file, prefix included.
  /// - Throws: `CheckpointError.otherShape` if the file has another shape for it.
  public func read(_ name: String, into entry: TensorEntry, of buffer: FloatBuffer) throws {
    let tensor = try tensor(name)
    guard tensor.shape == entry.shape else {
      throw CheckpointError.otherShape(file: path, tensor: name, found: tensor.shape, expected: entry.shape)
    }
    if tensor.type == .float32 {
      try buffer.withMutableBytes(of: entry.range) { try file.read(at: tensor.bytes.lowerBound, into: $0) }
    } else {
      let floats = try floats(of: name)
      buffer.withMutableBytes(of: entry.range) { target in floats.withUnsafeBytes { target.copyMemory(from: $0) } }
    }
  }

  /// Reads a network's parameters.
  /// - Parameter prefix: before each name in the file.
  /// - Returns: a buffer laid out by `layout`.
  public func parameters(_ layout: ParameterLayout, prefix: String = "") throws -> FloatBuffer {
    let buffer = FloatBuffer(count: layout.count)
    for tensor in layout.tensors { try read(prefix + tensor.name, into: TensorEntry(tensor), of: buffer) }
    return buffer
  }

  /// The digest of a tensor's bytes in the file.
  public func digest(of name: String) throws -> Digest { Digest(of: try bytes(of: name)) }

  private static func float(ofHalf bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
      let magnitude = Float(fraction) * 0x1p-24
      return sign == 0 ? magnitude : -magnitude
    case 31: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }
}

// MARK: - Writing

extension SafetensorsFile {
  /// Writes fp32 tensors to a new file straight from their buffers, and makes its bytes durable (its name is the
  /// caller's to make so).
  /// - Parameter check: called before each tensor; throws once the file is not wanted any more.
  /// - Returns: what a manifest needs to find damage later.
  /// - Throws: `DurabilityError`, what `check` throws.
  @discardableResult
  public static func write(
    _ groups: [TensorGroup], metadata: [String: String] = [:], to path: String, in storage: any Storage,
    unless check: () throws -> Void = {}
  ) throws -> FileRecord {
    let tensors = groups.flatMap { group in
      group.entries.map { (name: group.prefix + $0.name, entry: $0, buffer: group.buffer) }
    }
    invariant(Set(tensors.map(\.name)).count == tensors.count, "\(path): two tensors of one name")
    let header = SafetensorsHeader.bytes(of: tensors.map { ($0.name, $0.entry.shape) }, metadata: metadata)
    let size = tensors.reduce(header.count) { $0 + $1.entry.range.count * MemoryLayout<Float>.stride }

    let file = try storage.open(path, .replacing)
    try file.allocate(size)
    try header.withUnsafeBytes { try file.write($0, at: 0) }
    var digests: [String: Digest] = [:]
    var offset = header.count
    for (name, entry, buffer) in tensors {
      try check()
      try buffer.withBytes(of: entry.range) { bytes in
        try file.write(bytes, at: offset)
        digests[name] = Digest(of: bytes)
        offset += bytes.count
      }
    }
    try file.synchronize()
    return FileRecord(size: size, header: Digest(of: header), tensors: digests)
  }
}
