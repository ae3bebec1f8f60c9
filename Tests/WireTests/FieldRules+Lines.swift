import Messages

// MARK: - Lines of the table

extension FieldRules {
  /// What the single value of a field may be.
  enum Bound {
    /// - over: what is said of a number above the range, if not the field's name.
    case numbers(ClosedRange<UInt64>, over: String? = nil)
    case text(Int)
    case bytes(atMost: Int)
    case digest
    /// Any value of an enum but 0, which stands for none.
    case value(of: String)
    /// A list that may hold anything.
    case count(of: WireValue, atMost: Int)

    static var step: Bound { .numbers(0...UInt64(WireLimits.step - 1)) }
    static var offset: Bound { .numbers(0...UInt64(WireLimits.offset - 1)) }
  }

  /// - Parameter agreeing: what other fields have to hold with a number.
  mutating func field(_ path: String, _ bound: Bound, agreeing: (UInt64) -> FieldRule.Change = { _ in [] }) {
    let name = "'\(path)'"
    func one(_ value: WireValue) -> FieldRule.Change { [(path, [value])] }
    func number(_ value: UInt64) -> FieldRule.Change { one(.varint(value)) + agreeing(value) }
    switch bound {
    case .numbers(let range, let over):
      // 32 bits have no room for more; what has the room is tried with all of them.
      let most: UInt64 = schema.field(path)?.type == "uint32" ? UInt64(UInt32.max) : .max
      let beyond = [range.upperBound + 1, most].map { (number($0), over ?? name) }
      rules[path] = FieldRule(
        valid: [.varint(range.lowerBound)], accepted: [number(range.lowerBound), number(range.upperBound)],
        refused: beyond + (range.lowerBound > 0 ? [(number(range.lowerBound - 1), name)] : []))
    case .text(let limit):
      rules[path] = FieldRule(
        valid: [], accepted: [one(.text(String(repeating: "x", count: limit)))],
        refused: [
          (one(.text(String(repeating: "x", count: limit + 1))), name), (one(.bytes([0x61, 0xFF])), name),
        ])
    case .bytes(let limit):
      rules[path] = FieldRule(
        valid: [], accepted: [one(.zeros(limit))], refused: [(one(.zeros(limit + 1)), name)])
    case .digest:
      rules[path] = FieldRule(
        valid: [.zeros(16)], accepted: [one(.zeros(16))],
        refused: [(one(.zeros(15)), name), (one(.zeros(17)), name), ([(path, [])], name)])
    case .value(let type):
      let values = (schema.enums[type] ?? []).map(UInt64.init)
      rules[path] = FieldRule(
        valid: [.varint(1)], accepted: values.filter { $0 > 0 }.map { one(.varint($0)) },
        refused: [0, (values.max() ?? 0) + 1, UInt64(UInt32.max)].map { (one(.varint($0)), name) })
    case .count(let element, let limit):
      func elements(_ count: Int) -> FieldRule.Change { [(path, [WireValue](repeating: element, count: count))] }
      rules[path] = FieldRule(
        valid: [element], accepted: [elements(0), elements(limit)], refused: [(elements(limit + 1), name)])
    }
  }

  /// - Parameter reason: why no value is wrong.
  mutating func any(_ path: String, _ reason: String) {
    let type = schema.field(path)?.type
    let value: (UInt64) -> WireValue = { type == "fixed64" ? .fixed($0) : .varint($0) }
    let most: UInt64 =
      switch type {
      case "bool": 1
      case "uint32": UInt64(UInt32.max)
      default: .max
      }
    rules[path] = FieldRule(valid: [value(0)], accepted: [[(path, [value(most)])]])
  }

  /// A list of numbers with a limit to each and to how many, and lists that must have as many elements, whose lines come
  /// before it.
  mutating func elements(_ path: String, atMost limit: Int, agreesWith others: [(path: String, WireValue)] = []) {
    func list(_ value: UInt64, _ count: Int) -> FieldRule.Change {
      [(path, [WireValue](repeating: .varint(value), count: count))]
        + others.map { ($0.path, [WireValue](repeating: $0.1, count: count)) }
    }
    let largest = UInt64(WireLimits.offset - 1)
    rules[path] = FieldRule(
      valid: [.varint(0)], accepted: [list(0, 0), list(largest, 2), list(0, limit)],
      refused: [list(largest + 1, 1), list(.max, 1), list(0, limit + 1)].map { ($0, "'\(path)'") })
    for (other, value) in others {
      for count in [0, 2] { refuse([(other, [WireValue](repeating: value, count: count))], saying: "'\(other)'") }
    }
  }

  /// Numbers of chunks of a gradient, ascending, at least one.
  mutating func chunks(_ path: String) {
    let most = UInt64(WireLimits.gradientChunks)
    rules[path] = FieldRule(valid: [.varint(0)])
    for chunks in [[0], [most - 1], Array(0..<most)] { accept([(path, chunks.map { .varint($0) })]) }
    for chunks in [[], [most], [UInt64(UInt32.max)], [5, 5], [6, 5], Array(0...most)] {
      refuse([(path, chunks.map { .varint($0) })], saying: "'\(path)'")
    }
  }

  /// A number that is no NaN and not infinite.
  mutating func finite(_ path: String) {
    func one(_ value: Double) -> FieldRule.Change { [(path, [.fixed(value.bitPattern)])] }
    rules[path] = FieldRule(
      valid: [.fixed((0.5).bitPattern)], accepted: [one(-.greatestFiniteMagnitude), one(.greatestFiniteMagnitude)],
      refused: [Double.nan, .infinity, -.infinity].map { (one($0), "'\(path)'") })
  }

  /// A number a slice.
  mutating func perSlice(_ path: String) {
    let number = WireValue.fixed((0.5).bitPattern)
    rules[path] = FieldRule(
      valid: [number], accepted: [[(path, [.fixed(Double.nan.bitPattern)])]],
      refused: [([(path, [])], "'\(path)'"), ([(path, [number, number])], "'\(path)'")])
  }

  /// - Parameter lists: which have a number a slice.
  mutating func slices(_ path: String, agreesWith lists: [String] = []) {
    let limit = UInt64(WireLimits.slicesPerStep)
    message(path, isRequired: true)
    field(path + ".first", .numbers(0...(limit - 1)))
    field(
      path + ".count", .numbers(1...limit),
      agreeing: { count in
        lists.map { ($0, [WireValue](repeating: .fixed(0), count: Int(min(count, limit + 1)))) }
      })
    refuse([(path + ".first", [.varint(limit - 1)]), (path + ".count", [.varint(2)])], saying: "'\(path).count'")
  }

  mutating func undecodable(_ path: String) {
    messages(path, atMost: WireLimits.undecodablePictures)
    field(path + ".picture", .offset)
    field(path + ".reason", .text(WireLimits.shortText))
  }

  mutating func address(_ path: String, isRequired: Bool = true) {
    message(path, isRequired: isRequired)
    endpoint(path + ".endpoint")
    key(path + ".key")
  }

  mutating func endpoint(_ path: String) {
    let host = String(repeating: "h", count: WireLimits.shortText - "tcp://:7".utf8.count)
    rules[path] = FieldRule(
      valid: [.text("tcp://h:7")], accepted: [[(path, [.text("tcp://\(host):7")])]],
      refused: [
        "udp://h:7", "tcp://h:0", "tcp://*:7", "tcp://0.0.0.0:7", "tcp://[::]:7", "tcp://\(host)h:7",
      ].map { ([(path, [.text($0)])], "'\(path)'") } + [([(path, [.bytes([0x74, 0xFF])])], "'\(path)'")])
  }

  mutating func key(_ path: String) {
    rules[path] = FieldRule(
      valid: [], accepted: [[(path, [.zeros(32)])]],
      refused: [1, 31, 33].map { ([(path, [.zeros($0)])], "'\(path)'") })
  }

  mutating func message(_ path: String, isRequired: Bool) {
    rules[path] = FieldRule(valid: [.message(WireMessage())])
    if isRequired { refuse([(path, [])], saying: "'\(path)'") } else { accept([(path, [])]) }
  }

  /// A list of messages, each as valid as the first.
  mutating func messages(_ path: String, atLeast least: Int = 0, atMost limit: Int) {
    rules[path] = FieldRule(valid: [.message(WireMessage())])
    // What they hold is known when the table is complete.
    counts[path] = (least, limit)
  }

  mutating func countMessages() {
    for (path, count) in counts {
      guard let field = schema.field(path) else { continue }
      let message = WireValue.message(valid(field.type, prefix: path + "."))
      func list(_ count: Int) -> FieldRule.Change { [(path, [WireValue](repeating: message, count: count))] }
      accept(list(count.most))
      refuse(list(count.most + 1), saying: "'\(path)'")
      guard count.least > 0 else { continue }
      accept(list(count.least))
      refuse(list(count.least - 1), saying: "'\(path)'")
    }
  }

  mutating func accept(_ change: FieldRule.Change) { rules[change[0].path]?.accepted.append(change) }

  mutating func refuse(_ change: FieldRule.Change, saying: String) {
    rules[change[0].path]?.refused.append((change, saying))
  }
}

// MARK: - Messages

extension FieldRules {
  /// A message with something in it that is wrong, or at the edge of being wrong.
  struct Row {
    let path: String
    let bytes: [UInt8]
    /// What its refusal says; nil if it is accepted.
    let says: String?
  }

  /// Every content of the table, in the order of massl.proto.
  var rows: [Row] {
    schema.paths.flatMap { path -> [Row] in
      guard let rule = rules[path] else { return [] }
      let all = rule.accepted.map { ($0, nil) } + rule.refused.map { ($0.change, Optional($0.says)) }
      return all.map { change, says in
        var message = valid(body: path.contains(".") ? String(path.prefix { $0 != "." }) : "goodbye")
        for (path, values) in change { message.set(path, to: values, in: schema) }
        return Row(path: path, bytes: message.encoded(), says: says)
      }
    }
  }

  /// An envelope with this body, valid in each field.
  func valid(body: String) -> WireMessage {
    var envelope = valid("Envelope", prefix: "")
    if let field = schema.field(body) {
      envelope.fields[field.number] = [.message(valid(field.type, prefix: body + "."))]
    }
    return envelope
  }

  private func valid(_ type: String, prefix: String) -> WireMessage {
    var message = WireMessage()
    for field in schema.messages[type] ?? [] {
      guard let values = rules[prefix + field.name]?.valid, !values.isEmpty else { continue }
      message.fields[field.number] = values.map {
        guard case .message = $0 else { return $0 }
        return .message(valid(field.type, prefix: prefix + field.name + "."))
      }
    }
    return message
  }
}
