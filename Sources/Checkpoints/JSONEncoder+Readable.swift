import Foundation

extension JSONEncoder {
  /// A new one for what people read too: names in snake case and in order, a field a line.
  package static var readable: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return encoder
  }
}
