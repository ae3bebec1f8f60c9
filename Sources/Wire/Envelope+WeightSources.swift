internal import CMessages
internal import CProtobufC
import Messages
import Numerics
import Packing

// Who has a step's weights, to protobuf and back.

extension MessageMemory {
  func writeWeightSourcesRequest(_ step: Int, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    let c = make(Massl__WeightSourcesRequest.self, massl__weight_sources_request__init)
    c.pointee.step = number(step)
    envelope.pointee.weight_sources_request = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_WEIGHT_SOURCES_REQUEST
  }

  func write(_ sources: WeightSources, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    invariant(1...WireLimits.weightSources ~= sources.sources.count, "\(sources.sources.count) sources of weights")
    invariant(1...WireLimits.weightChunks ~= sources.hashes.count, "\(sources.hashes.count) chunks of weights")
    let c = make(Massl__WeightSources.self, massl__weight_sources__init)
    c.pointee.step = number(sources.step)
    c.pointee.n_sources = sources.sources.count
    c.pointee.sources = array(sources.sources.map { Optional(write($0)) })
    c.pointee.hashes = bytes(sources.hashes.flatMap(\.bytes))
    envelope.pointee.weight_sources = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_WEIGHT_SOURCES
  }
}

extension FieldReader {
  func weightSources(_ c: Massl__WeightSources) throws(WireError) -> WeightSources {
    guard 1...WireLimits.weightSources ~= c.n_sources else {
      throw bad("weight_sources.sources", "has \(c.n_sources) addresses, not 1 to \(WireLimits.weightSources)")
    }
    let chunks = c.hashes.len / ContentHash.byteCount
    guard 1...WireLimits.weightChunks ~= chunks,
      let hashes = ContentHash.hashes(
        in: UnsafeRawBufferPointer(start: c.hashes.data, count: c.hashes.len), count: chunks)
    else {
      throw bad(
        "weight_sources.hashes",
        "has \(c.hashes.len) bytes, not \(ContentHash.byteCount) for each of 1 to \(WireLimits.weightChunks) chunks")
    }
    let sources = try addresses(c.sources, c.n_sources, "weight_sources.sources")
    return WeightSources(step: try step(c.step, "weight_sources.step"), sources: sources, hashes: hashes)
  }
}
