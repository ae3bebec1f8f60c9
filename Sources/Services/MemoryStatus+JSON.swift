import Coordination
import Foundation

extension MemoryStatus {
  /// "{}" if a number is not finite, which JSON has no word for.
  public func json() -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  /// Nil if `json` is none.
  public init?(json: String) {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let status = try? decoder.decode(MemoryStatus.self, from: Data(json.utf8)) else { return nil }
    self = status
  }
}
