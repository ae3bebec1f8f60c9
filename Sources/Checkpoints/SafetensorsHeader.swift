import Foundation

/// The first part of a safetensors file: the header's length (8 bytes, little-endian), then a JSON object that gives
/// each tensor's type, shape and bytes; the tensors' bytes follow, without gaps.
///
/// Source: https://github.com/huggingface/safetensors, "Format". Everything that it demands is checked.
public struct SafetensorsHeader: Equatable, Sendable {
  public struct Tensor: Equatable, Sendable {
    public let name: String
    public let type: ElementType
    public let shape: [Int]
    /// Counted from the start of the file.
    public let bytes: Range<Int>
    public var count: Int { bytes.count / type.size }
  }

  public enum ElementType: String, Sendable, CaseIterable {
    case float64 = "F64"
    case float32 = "F32"
    case float16 = "F16"
    case bfloat16 = "BF16"
    case int64 = "I64"
    case int32 = "I32"
    case int16 = "I16"
    case int8 = "I8"
    case uint64 = "U64"
    case uint32 = "U32"
    case uint16 = "U16"
    case uint8 = "U8"
    case boolean = "BOOL"

    public var isFloat: Bool {
      switch self {
      case .float64, .float32, .float16, .bfloat16: true
      case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .boolean: false
      }
    }

    /// Bytes an element.
    public var size: Int {
      switch self {
      case .float64, .int64, .uint64: 8
      case .float32, .int32, .uint32: 4
      case .float16, .bfloat16, .int16, .uint16: 2
      case .int8, .uint8, .boolean: 1
      }
    }
  }

  /// The format's own bound on the JSON.
  public static let lengthAtMost = 100_000_000

  /// In the order of their bytes.
  public let tensors: [Tensor]
  public let metadata: [String: String]
}

// MARK: - Parsing

extension SafetensorsHeader {
  /// The length that the first 8 bytes announce, checked against the file's size.
  static func length(from prefix: [UInt8], file: String, fileSize: Int) throws -> Int {
    var length: UInt64 = 0
    for (index, byte) in prefix.enumerated() { length |= UInt64(byte) << (8 * UInt64(index)) }
    guard length <= UInt64(lengthAtMost) else {
      throw malformed(file, nil, "announces a header of \(length) bytes, more than the \(lengthAtMost) allowed")
    }
    guard 8 + Int(length) <= fileSize else {
      throw malformed(file, nil, "announces a header of \(length) bytes, but has only \(fileSize) in all")
    }
    return Int(length)
  }

  /// - Parameters:
  ///   - json: the header without its length.
  ///   - fileSize: of the whole file, in bytes: the tensors must fill it.
  init(json: [UInt8], file: String, fileSize: Int) throws {
    // JSON in another encoding than UTF-8 would pass the parser, but has zero bytes.
    guard json.first == UInt8(ascii: "{"), !json.contains(0) else {
      throw Self.malformed(file, nil, "has a header that does not begin with '{'")
    }
    let contents: Contents
    do {
      contents = try JSONDecoder().decode(Contents.self, from: Data(json))
    } catch let problem as Contents.Problem {
      throw Self.malformed(file, problem.tensor, problem.reason)
    } catch {
      throw Self.malformed(file, nil, "has a header that is no JSON object of tensors")
    }
    if let name = Self.repeatedKey(in: json) {
      throw Self.malformed(file, name, "is in the header more than once")
    }

    let start = 8 + json.count
    var tensors: [Tensor] = []
    for (name, entry) in contents.entries {
      guard let type = ElementType(rawValue: entry.type) else {
        throw Self.malformed(file, name, "has the unknown type '\(entry.type)'")
      }
      guard entry.offsets.count == 2, entry.offsets[0] >= 0, entry.offsets[0] <= entry.offsets[1] else {
        throw Self.malformed(file, name, "has data_offsets \(entry.offsets), which are no range")
      }
      guard entry.offsets[1] <= fileSize - start else {
        throw Self.malformed(
          file, name, "ends at byte \(entry.offsets[1]) of the data, of which there are \(fileSize - start)")
      }
      var size = type.size
      for extent in entry.shape {
        let (product, overflow) = size.multipliedReportingOverflow(by: extent)
        guard extent >= 0, !overflow else {
          throw Self.malformed(file, name, "has the impossible shape \(entry.shape)")
        }
        size = product
      }
      guard size == entry.offsets[1] - entry.offsets[0] else {
        throw Self.malformed(
          file, name,
          "has \(entry.offsets[1] - entry.offsets[0]) bytes, but shape \(entry.shape) of \(type.rawValue) needs \(size)"
        )
      }
      let bytes = (start + entry.offsets[0])..<(start + entry.offsets[1])
      tensors.append(Tensor(name: name, type: type, shape: entry.shape, bytes: bytes))
    }
    tensors.sort {
      ($0.bytes.lowerBound, $0.bytes.upperBound, $0.name) < ($1.bytes.lowerBound, $1.bytes.upperBound, $1.name)
    }

    var end = start
    for tensor in tensors {
      guard tensor.bytes.lowerBound >= end else {
        throw Self.malformed(file, tensor.name, "overlaps the tensor before it")
      }
      guard tensor.bytes.lowerBound == end else {
        throw Self.malformed(file, tensor.name, "comes after \(tensor.bytes.lowerBound - end) bytes of no tensor")
      }
      end = tensor.bytes.upperBound
    }
    guard end == fileSize else {
      throw Self.malformed(file, nil, "has \(fileSize - end) bytes after the last tensor")
    }
    self.tensors = tensors
    metadata = contents.metadata
  }

  private static func malformed(_ file: String, _ tensor: String?, _ reason: String) -> CheckpointError {
    .malformed(file: file, tensor: tensor, reason: reason)
  }

  /// The first key that stands twice in one object, which JSON parsers let pass. `json` is known to be valid.
  private static func repeatedKey(in json: [UInt8]) -> String? {
    var seen: [Set<[UInt8]>] = []
    var lastString: [UInt8] = []
    var index = 0
    while index < json.count {
      switch json[index] {
      case UInt8(ascii: "\""):
        let start = index + 1
        index = start
        while index < json.count, json[index] != UInt8(ascii: "\"") {
          index += json[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        lastString = Array(json[start..<min(index, json.count)])
      case UInt8(ascii: "{"), UInt8(ascii: "["): seen.append([])
      case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = seen.popLast()
      case UInt8(ascii: ":"):
        // Two spellings of one name (\u0061 for a) are rare enough to be compared only when there is an escape.
        let key = lastString.contains(UInt8(ascii: "\\")) ? unescaped(lastString) : lastString
        guard !seen.isEmpty, seen[seen.count - 1].insert(key).inserted else {
          return String(decoding: key, as: UTF8.self)
        }
      default: break
      }
      index += 1
    }
    return nil
  }

  private static func unescaped(_ string: [UInt8]) -> [UInt8] {
    let quoted = Data([UInt8(ascii: "\"")] + string + [UInt8(ascii: "\"")])
    return (try? JSONDecoder().decode(String.self, from: quoted)).map { Array($0.utf8) } ?? string
  }
}

/// The header as JSON has it, before its numbers are checked.
private struct Contents: Decodable {
  struct Entry: Decodable {
    let type: String
    let shape: [Int]
    let offsets: [Int]

    enum CodingKeys: String, CodingKey {
      case type = "dtype"
      case shape
      case offsets = "data_offsets"
    }
  }

  struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  struct Problem: Error {
    let tensor: String?
    let reason: String
  }

  var metadata: [String: String] = [:]
  var entries: [(name: String, entry: Entry)] = []

  init(from decoder: Decoder) throws {
    let container = try decoder.container(keyedBy: Name.self)
    for key in container.allKeys {
      if key.stringValue == "__metadata__" {
        guard let found = try? container.decode([String: String].self, forKey: key) else {
          throw Problem(tensor: nil, reason: "has __metadata__ that is not an object of strings")
        }
        metadata = found
      } else {
        guard let entry = try? container.decode(Entry.self, forKey: key) else {
          throw Problem(tensor: key.stringValue, reason: "has no proper dtype, shape and data_offsets")
        }
        entries.append((key.stringValue, entry))
      }
    }
  }
}

// MARK: - Writing

extension SafetensorsHeader {
  /// The bytes before the tensors' of a file of fp32 tensors in this order: length, then JSON, filled up with spaces so
  /// that the tensors begin at a multiple of 8.
  static func bytes(of tensors: [(name: String, shape: [Int])], metadata: [String: String]) -> [UInt8] {
    var fields: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
      fields.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var offset = 0
    for (name, shape) in tensors {
      let end = offset + shape.reduce(MemoryLayout<Float>.stride, *)
      let extents = shape.map(String.init).joined(separator: ",")
      fields.append("\(quoted(name)):{\"dtype\":\"F32\",\"shape\":[\(extents)],\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var json = Array("{\(fields.joined(separator: ","))}".utf8)
    while json.count % 8 != 0 { json.append(UInt8(ascii: " ")) }
    return (0..<8).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) } + json
  }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\u{0}"..<"\u{20}":
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
