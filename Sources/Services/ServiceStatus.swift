import Coordination
import Foundation
import Numerics

/// What `massl status` shows: the state machine's view, with what only the process knows, in one JSON object.
struct ServiceStatus: Encodable {
  struct Memory: Encodable {
    var size: Int
    var rows: Int
  }

  struct Digests: Encodable {
    var student: String
    var teacher: String
    var memory: String
  }

  var coordination: Status
  var run: String
  var epoch: Int
  /// Nil before this process's first step.
  var loss: Double?
  var imagesPerSecond: Double?
  var memory: Memory
  var digests: Digests

  private enum CodingKeys: String, CodingKey { case run, epoch, loss, imagesPerSecond, memory, digests }

  func encode(to encoder: any Encoder) throws {
    try coordination.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(run, forKey: .run)
    try container.encode(epoch, forKey: .epoch)
    try container.encodeIfPresent(loss, forKey: .loss)
    try container.encodeIfPresent(imagesPerSecond, forKey: .imagesPerSecond)
    try container.encode(memory, forKey: .memory)
    try container.encode(digests, forKey: .digests)
  }

  /// Names in snake case. "{}" if a number is not finite, which JSON has no word for.
  func json() -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }
}
