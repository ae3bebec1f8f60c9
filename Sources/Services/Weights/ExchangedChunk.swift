import Messages
import Numerics

/// A piece of what workers fetch from each other for a step, as one answer carries it.
struct ExchangedChunk: Sendable {
  let network: Network
  /// Of the whole network.
  let buffer: FloatBuffer
  /// Floats of the buffer.
  let range: Range<Int>

  /// All of a step's, in the order of their hashes: the student's, then those of the new rows.
  /// - Parameter newRows: nil where they are not given.
  static func all(ofStudent student: FloatBuffer, newRows: FloatBuffer?) -> [ExchangedChunk] {
    let rows = newRows.map { [(Network.newRows, $0)] } ?? []
    return ([(Network.student, student)] + rows).flatMap { network, buffer in
      BulkClient.ranges(buffer.count, by: WireLimits.weightChunkFloats).map {
        ExchangedChunk(network: network, buffer: buffer, range: $0)
      }
    }
  }

  func request(ofStep step: Int) -> BulkRequest {
    .weights(network: network, step: step, offset: range.lowerBound, count: range.count)
  }

  func reply(ofStep step: Int) -> BulkReply { .weights(network: network, step: step, offset: range.lowerBound) }
}
