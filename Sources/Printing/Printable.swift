/// Text of peers and files, as a terminal or a log may show it.
///
/// A name may hold what moves the cursor, begins a line of its own, or turns the direction of the text around it.
/// Whatever is not seen where it stands becomes an escape that is: `\n`, `\u{1b}`, `\u{202e}`.
extension String {
  /// With escapes for control and format characters, line and paragraph separators, and what Unicode gives no meaning.
  ///
  /// Backslashes stay: the aim is that nothing hides, not that the text can be had back.
  /// - Complexity: a look at each byte where all are of ASCII and harmless, as they nearly always are.
  public var printable: String { escaped { $0.isPrintable ? nil : $0.escape } }

  /// A text of our own, whose line breaks and tabs are meant; all else as in `printable`.
  public var printableLines: String { escaped { $0.isPrintable || $0 == "\n" || $0 == "\t" ? nil : $0.escape } }

  /// A JSON text with escapes of JSON instead: such characters are within its strings, or are breaks between its lines.
  public var printableJSON: String {
    escaped { scalar in
      if scalar.isPrintable || scalar == "\n" { return nil }
      return UTF16.encode(scalar)?.map { "\\u" + hexadecimal($0, digits: 4) }.joined()
    }
  }

  /// Bytes that should be UTF-8, `printable`; what is none becomes `\x9f`, a byte each.
  public init(printing bytes: some Sequence<UInt8>) {
    let bytes = Array(bytes)
    if let text = String(validating: bytes, as: UTF8.self) {
      self = text.printable
      return
    }
    self = ""
    var place = 0
    while place < bytes.count {
      let scalar = (1...min(4, bytes.count - place)).lazy.compactMap { length in
        String(validating: bytes[place..<place + length], as: UTF8.self)
      }.first
      self += scalar?.printable ?? "\\x" + hexadecimal(bytes[place], digits: 2)
      place += scalar?.utf8.count ?? 1
    }
  }

  private func escaped(_ escape: (Unicode.Scalar) -> String?) -> String {
    if utf8.allSatisfy({ 0x20..<0x7f ~= $0 }) { return self }
    var text = ""
    for scalar in unicodeScalars {
      if let escape = escape(scalar) { text += escape } else { text.unicodeScalars.append(scalar) }
    }
    return text
  }
}

extension Unicode.Scalar {
  /// Whether it is seen, or is a space, and changes nothing around it.
  fileprivate var isPrintable: Bool {
    if value < 0xa0 { return 0x20..<0x7f ~= value }
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: return false
    default: return true
    }
  }

  fileprivate var escape: String {
    switch self {
    case "\n": "\\n"
    case "\r": "\\r"
    case "\t": "\\t"
    default: "\\u{\(String(value, radix: 16))}"
    }
  }
}

private func hexadecimal(_ value: some UnsignedInteger, digits: Int) -> String {
  let text = String(value, radix: 16)
  return String(repeating: "0", count: max(0, digits - text.count)) + text
}
