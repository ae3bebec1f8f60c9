/// A tar as a test writes it, right or wrong.
public struct TarBytes: Sendable {
  public private(set) var bytes: [UInt8] = []

  public init() {}

  /// - Parameters:
  ///   - size: the field's own bytes; nil for what is true.
  ///   - isGNU: with the magic of GNU tar's own format.
  public mutating func add(
    _ name: String, _ contents: [UInt8] = [], type: Character = "0", size: [UInt8]? = nil, prefix: String = "",
    isGNU: Bool = false
  ) {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: some Collection<UInt8>, at offset: Int) {
      header.replaceSubrange(offset..<offset + text.count, with: text)
    }
    put(name.utf8.prefix(100).map(\.self), at: 0)
    put("0000644\u{0}0000000\u{0}0000000\u{0}".utf8.map(\.self), at: 100)
    put(size ?? Self.octal(contents.count, digits: 11), at: 124)
    put("00000000000 ".utf8.map(\.self), at: 136)
    put("        ".utf8.map(\.self), at: 148)
    put([type.asciiValue ?? 0], at: 156)
    put((isGNU ? "ustar  \u{0}" : "ustar\u{0}00").utf8.map(\.self), at: 257)
    put(prefix.utf8.map(\.self), at: 345)
    let sum = header.reduce(0) { $0 + Int($1) }
    put(Self.octal(sum, digits: 6) + [0, 32], at: 148)
    bytes += header + contents
    bytes += [UInt8](repeating: 0, count: (512 - contents.count % 512) % 512)
  }

  /// With the two empty blocks that end a tar.
  public var ended: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

  public static func octal(_ number: Int, digits: Int) -> [UInt8] {
    let text = String(number, radix: 8)
    return Array((String(repeating: "0", count: digits - text.utf8.count) + text).utf8)
  }

  /// A pax record: its length, which counts itself, then key and value.
  public static func record(_ key: String, _ value: String) -> [UInt8] {
    let rest = " \(key)=\(value)\n".utf8.count
    let length = (1...4).map { rest + $0 }.first { String($0).utf8.count == $0 - rest } ?? rest
    return Array("\(length) \(key)=\(value)\n".utf8)
  }
}
