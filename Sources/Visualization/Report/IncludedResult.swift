import Drawing
import Foundation

/// Another evaluation's results, as it said them with `--json`: shown on the page as they are.
public struct IncludedResult: Sendable {
  /// Of the file, for people.
  public let name: String
  private let value: JSON

  /// What is shown is somebody's table, not a data set.
  private static let bytesAtMost = 1 << 20

  /// Why a file cannot be shown.
  public struct Unreadable: Error, Equatable, CustomStringConvertible {
    public let file: String
    public let reason: String

    package init(file: String, reason: String) { (self.file, self.reason) = (file, reason) }

    public var description: String {
      "--include \(file): \(reason). Give what another command of massl evaluate printed with --json."
    }
  }

  /// - Parameter path: of a file that holds one JSON object.
  /// - Throws: `Unreadable`.
  public init(_ path: String) throws(Unreadable) {
    name = path.split(separator: "/").last.map(String.init) ?? path
    let bytes: Data
    do {
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      bytes = try file.read(upToCount: Self.bytesAtMost + 1) ?? Data()
    } catch {
      throw Unreadable(file: path, reason: "it cannot be read")
    }
    guard bytes.count <= Self.bytesAtMost else {
      throw Unreadable(file: path, reason: "it is longer than \(Self.bytesAtMost >> 20) MiB")
    }
    guard let value = try? JSONDecoder().decode(JSON.self, from: bytes), case .object = value else {
      throw Unreadable(file: path, reason: "it is no JSON object")
    }
    self.value = value
  }

  /// HTML.
  var section: String {
    guard case .object(let fields) = value else { return "" }
    let keys = fields.keys.sorted()
    let scalars = keys.filter { fields[$0]?.isScalar ?? false }
    let rest = keys.filter { !scalars.contains($0) }
    let facts = scalars.map {
      "<div><dt>\(Self.words($0))</dt><dd>\(fields[$0]?.text.markup ?? "")</dd></div>"
    }
    let tables = rest.map { "<h3>\(Self.words($0))</h3>\n\(fields[$0]?.markup ?? "")" }
    return """
      <section>
      <h2>\(name.markup)</h2>
      <dl>\(facts.joined(separator: "\n"))</dl>
      \(tables.joined(separator: "\n"))
      </section>
      """
  }

  private static func words(_ key: String) -> String { key.replacing("_", with: " ").markup }
}

/// Any JSON value, of no great depth.
private indirect enum JSON: Decodable, Sendable {
  case null
  case flag(Bool)
  case number(Double)
  case text(String)
  case list([JSON])
  case object([String: JSON])

  private static let depthAtMost = 16

  init(from decoder: any Decoder) throws {
    guard decoder.codingPath.count <= Self.depthAtMost else {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "too deep"))
    }
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let flag = try? value.decode(Bool.self) {
      self = .flag(flag)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let text = try? value.decode(String.self) {
      self = .text(text)
    } else if let list = try? value.decode([JSON].self) {
      self = .list(list)
    } else {
      self = .object(try value.decode([String: JSON].self))
    }
  }

  var isScalar: Bool {
    switch self {
    case .null, .flag, .number, .text: true
    case .list, .object: false
    }
  }

  /// On one line.
  var text: String {
    switch self {
    case .null: "–"
    case .flag(let flag): flag ? "yes" : "no"
    case .number(let number):
      number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : String(format: "%.5g", number)
    case .text(let text): text
    case .list(let list): list.map(\.text).joined(separator: ", ")
    case .object(let fields): fields.keys.sorted().map { "\($0) \(fields[$0]?.text ?? "")" }.joined(separator: ", ")
    }
  }

  /// A list of objects as a table with a column for each of their keys, an object as one with a row for each of its.
  var markup: String {
    switch self {
    case .list(let list):
      let objects = list.compactMap { entry -> [String: JSON]? in
        if case .object(let fields) = entry { fields } else { nil }
      }
      guard objects.count == list.count, let first = objects.first else { return "<p>\(text.markup)</p>" }
      let keys = first.keys.sorted()
      let rows = objects.map { fields in
        "<tr>\(keys.map { "<td>\(fields[$0]?.text.markup ?? "")</td>" }.joined())</tr>"
      }
      let head = keys.map { "<th>\($0.replacing("_", with: " ").markup)</th>" }.joined()
      return "<div class=\"scroll\"><table><thead><tr>\(head)</tr></thead><tbody>\n\(rows.joined(separator: "\n"))\n"
        + "</tbody></table></div>"
    case .object(let fields):
      let rows = fields.keys.sorted().map {
        "<tr><td class=\"word\">\($0.replacing("_", with: " ").markup)</td><td>\(fields[$0]?.text.markup ?? "")</td></tr>"
      }
      return "<div class=\"scroll\"><table><tbody>\n\(rows.joined(separator: "\n"))\n</tbody></table></div>"
    case .null, .flag, .number, .text: return "<p>\(text.markup)</p>"
    }
  }
}
