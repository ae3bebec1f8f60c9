import Foundation

/// What stands in a field of a message on the wire.
enum WireValue: Hashable {
  case varint(UInt64)
  case fixed(UInt64)
  /// Texts too, whether they are UTF-8 or not.
  case bytes([UInt8])
  case message(WireMessage)

  static func text(_ text: String) -> WireValue { .bytes(Array(text.utf8)) }
  static func zeros(_ count: Int) -> WireValue { .bytes([UInt8](repeating: 0, count: count)) }
}

/// A protobuf message of any fields with any contents, also such as no sender of ours makes.
struct WireMessage: Hashable {
  /// By field number; several values where a field is repeated.
  var fields: [Int: [WireValue]] = [:]

  /// As protobuf has it, several numbers packed.
  func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    for (number, values) in fields.sorted(by: { $0.key < $1.key }) {
      let isPacked = values.count > 1 && values.allSatisfy(\.isNumber)
      for value in isPacked ? [.bytes(values.flatMap(\.content))] : values {
        bytes += Self.varint(UInt64(number << 3) | value.kind)
        if !value.isNumber { bytes += Self.varint(UInt64(value.content.count)) }
        bytes += value.content
      }
    }
    return bytes
  }

  fileprivate static func varint(_ number: UInt64) -> [UInt8] {
    var (bytes, rest): ([UInt8], UInt64) = ([], number)
    while rest > 0x7F {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }
}

extension WireValue {
  fileprivate var isNumber: Bool {
    switch self {
    case .varint, .fixed: true
    case .bytes, .message: false
    }
  }

  /// Its low three bits in a field's head.
  fileprivate var kind: UInt64 {
    switch self {
    case .varint: 0
    case .fixed: 1
    case .bytes, .message: 2
    }
  }

  /// Without head and length.
  fileprivate var content: [UInt8] {
    switch self {
    case .varint(let number): WireMessage.varint(number)
    case .fixed(let bits): withUnsafeBytes(of: bits.littleEndian) { Array($0) }
    case .bytes(let bytes): bytes
    case .message(let message): message.encoded()
    }
  }
}

/// Proto/massl.proto, as far as a test has to know it: every field of every message by name.
struct MessageSchema {
  struct Field {
    let name: String
    let number: Int
    let type: String
    let isRepeated: Bool
  }

  private(set) var messages: [String: [Field]] = [:]
  /// The values of each enum.
  private(set) var enums: [String: [Int]] = [:]

  init() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let text = try String(contentsOf: root.appendingPathComponent("Proto/massl.proto"), encoding: .utf8)
    var open = ""
    for line in text.split(separator: "\n") {
      let words = line.components(separatedBy: "//")[0].split { " ;{}=".contains($0) }.map(String.init)
      switch words.first {
      case "message":
        open = words[1]
        messages[open] = []
      case "enum":
        open = words[1]
        enums[open] = []
      case nil, "syntax", "package", "oneof": break
      default:
        guard let number = words.last.flatMap(Int.init) else { throw Unreadable(line: String(line)) }
        if enums[open] != nil {
          enums[open]?.append(number)
        } else {
          messages[open]?.append(
            Field(
              name: words[words.count - 2], number: number, type: words[words.count - 3],
              isRepeated: words[0] == "repeated"))
        }
      }
    }
  }

  struct Unreadable: Error { let line: String }

  /// The field at the end of a path from the envelope, as "lease.slices.count"; nil if there is none.
  func field(_ path: String) -> Field? {
    var (type, found): (String, Field?) = ("Envelope", nil)
    for name in path.split(separator: ".") {
      found = messages[type]?.first { $0.name == name }
      type = found?.type ?? ""
    }
    return found
  }

  /// Every path from the envelope, those of messages before those of their fields.
  var paths: [String] { paths(below: "Envelope", prefix: "") }

  private func paths(below type: String, prefix: String) -> [String] {
    (messages[type] ?? []).flatMap { [prefix + $0.name] + paths(below: $0.type, prefix: prefix + $0.name + ".") }
  }

  /// The messages that an envelope may hold.
  var bodies: [String] { (messages["Envelope"] ?? []).filter { messages[$0.type] != nil }.map(\.name) }
}

extension WireMessage {
  /// Puts values in the place of those at a path, in the first of each repeated message on the way.
  mutating func set(_ path: String, to values: [WireValue], in schema: MessageSchema, type: String = "Envelope") {
    let parts = path.split(separator: ".", maxSplits: 1).map(String.init)
    guard let field = schema.messages[type]?.first(where: { $0.name == parts[0] }) else { return }
    guard parts.count > 1 else { return fields[field.number] = values }
    guard case .message(var inner)? = fields[field.number]?.first else { return }
    inner.set(parts[1], to: values, in: schema, type: field.type)
    fields[field.number]?[0] = .message(inner)
  }
}
