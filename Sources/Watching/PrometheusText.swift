/// Figures in Prometheus's text format, version 0.0.4.
///
///     var text = PrometheusText()
///     text.gauge("massl_step", "Steps done.", 17)
///     text.text       // "# HELP massl_step Steps done.\n# TYPE massl_step gauge\nmassl_step 17\n"
struct PrometheusText {
  private(set) var text = ""

  /// A value that may go down. A figure that is not known is left out, not zero.
  mutating func gauge(_ name: String, _ help: String, _ value: Double?) { add(name, help, "gauge", [([], value)]) }
  mutating func gauge(_ name: String, _ help: String, _ value: Int?) { gauge(name, help, value.map(Double.init)) }

  /// One value for each set of labels.
  mutating func gauge(_ name: String, _ help: String, _ values: [(labels: [(String, String)], value: Double?)]) {
    add(name, help, "gauge", values)
  }

  /// A value that only grows, until the process that counts begins anew. Its name ends in `_total`.
  mutating func counter(_ name: String, _ help: String, _ value: Int?) {
    add(name, help, "counter", [([], value.map(Double.init))])
  }

  private mutating func add(
    _ name: String, _ help: String, _ type: String, _ values: [(labels: [(String, String)], value: Double?)]
  ) {
    let known = values.filter { $0.value != nil }
    guard !known.isEmpty else { return }
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    for (labels, value) in known {
      let pairs = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
      text += "\(name)\(pairs.isEmpty ? "" : "{\(pairs)}") \(Self.number(value ?? .nan))\n"
    }
  }

  /// Whole numbers without a fraction, others to the last digit.
  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    return Int(exactly: value).map { "\($0)" } ?? "\(value)"
  }

  private static func escaped(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": escaped += "\\\\"
      case "\"": escaped += "\\\""
      case "\n": escaped += "\\n"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }
}
