import Coordination
import Foundation

/// What a coordinator answers about its run: as JSON one object on one line, with names in snake case.
public protocol StatusDocument: Codable {}

extension StatusDocument {
  /// "{}" if a number is not finite, which JSON has no word for.
  public func json() -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  /// Nil if `json` is no such document.
  public init?(json: String) {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let document = try? decoder.decode(Self.self, from: Data(json.utf8)) else { return nil }
    self = document
  }
}

extension RunStatus: StatusDocument {}
extension MemoryStatus: StatusDocument {}
