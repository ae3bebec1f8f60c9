internal import CMessages
internal import CProtobufC
import Messages
import Numerics
import Packing
import Slices

// Gradients that are added up where they are, to protobuf and back.

extension MessageMemory {
  func write(_ reduction: Reduction, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    invariant(
      1...WireLimits.gradientsReduced ~= reduction.gradients.count, "\(reduction.gradients.count) gradients are reduced"
    )
    let c = make(Massl__Reduction.self, massl__reduction__init)
    c.pointee.step = number(reduction.step)
    c.pointee.number = reduction.number
    c.pointee.n_gradients = reduction.gradients.count
    c.pointee.gradients = array(reduction.gradients.map { Optional(write($0)) })
    (c.pointee.n_chunks, c.pointee.chunks) = chunks(reduction.chunks)
    envelope.pointee.reduction = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_REDUCTION
  }

  private func write(_ gradient: Reduction.Gradient) -> UnsafeMutablePointer<Massl__HeldGradient> {
    invariant(gradient.holders.isEmpty == (gradient.hash == nil), "a gradient of the coordinator's needs no hash")
    invariant(gradient.holders.count <= WireLimits.gradientHolders, "\(gradient.holders.count) holders of a gradient")
    let c = make(Massl__HeldGradient.self, massl__held_gradient__init)
    c.pointee.slices = slices(gradient.slices)
    if let hash = gradient.hash { c.pointee.hash = bytes(hash.bytes) }
    c.pointee.n_holders = gradient.holders.count
    c.pointee.holders = array(gradient.holders.map { Optional(write($0)) })
    return c
  }

  private func chunks(_ chunks: [Int]) -> (Int, UnsafeMutablePointer<UInt32>) {
    invariant(1...WireLimits.gradientChunks ~= chunks.count, "\(chunks.count) chunks of a gradient")
    return (chunks.count, array(chunks.map { UInt32(number($0, below: WireLimits.gradientChunks)) }))
  }

  func write(_ failure: ReductionFailure, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    let c = make(Massl__ReductionFailed.self, massl__reduction_failed__init)
    c.pointee.number = failure.number
    (c.pointee.n_chunks, c.pointee.chunks) = chunks(failure.chunks)
    c.pointee.reason = text(failure.reason, cutTo: WireLimits.sentence)
    envelope.pointee.reduction_failed = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_REDUCTION_FAILED
  }

  func writeGradientHashesRequest(
    step: Int, _ slices: SliceRange, into envelope: UnsafeMutablePointer<Massl__Envelope>
  ) {
    let c = make(Massl__GradientHashesRequest.self, massl__gradient_hashes_request__init)
    c.pointee.step = number(step)
    c.pointee.slices = self.slices(slices)
    envelope.pointee.gradient_hashes_request = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_GRADIENT_HASHES_REQUEST
  }

  func writeGradientHashes(step: Int, _ slices: SliceRange, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    let c = make(Massl__GradientHashes.self, massl__gradient_hashes__init)
    c.pointee.step = number(step)
    c.pointee.slices = self.slices(slices)
    envelope.pointee.gradient_hashes = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_GRADIENT_HASHES
  }

  func writeGradientRequest(_ chunk: GradientChunk, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    let c = make(Massl__GradientRequest.self, massl__gradient_request__init)
    c.pointee.step = number(chunk.step)
    c.pointee.slices = slices(chunk.slices)
    c.pointee.chunk = UInt32(number(chunk.chunk, below: WireLimits.gradientChunks))
    envelope.pointee.gradient_request = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_GRADIENT_REQUEST
  }

  func writeGradient(_ chunk: GradientChunk, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    let c = make(Massl__Gradient.self, massl__gradient__init)
    c.pointee.step = number(chunk.step)
    c.pointee.slices = slices(chunk.slices)
    c.pointee.chunk = UInt32(number(chunk.chunk, below: WireLimits.gradientChunks))
    envelope.pointee.gradient = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_GRADIENT
  }

  func writeSum(reduction: UInt64, chunk: Int, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    let c = make(Massl__Sum.self, massl__sum__init)
    c.pointee.number = reduction
    c.pointee.chunk = UInt32(number(chunk, below: WireLimits.gradientChunks))
    envelope.pointee.sum = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_SUM
  }

  func writeSummed(reduction: UInt64, chunk: Int, into envelope: UnsafeMutablePointer<Massl__Envelope>) {
    let c = make(Massl__Summed.self, massl__summed__init)
    c.pointee.number = reduction
    c.pointee.chunk = UInt32(number(chunk, below: WireLimits.gradientChunks))
    envelope.pointee.summed = c
    envelope.pointee.body_case = MASSL__ENVELOPE__BODY_SUMMED
  }
}

extension FieldReader {
  func reduction(_ c: Massl__Reduction) throws(WireError) -> Reduction {
    guard 1...WireLimits.gradientsReduced ~= c.n_gradients else {
      throw bad("reduction.gradients", "has \(c.n_gradients) gradients, not 1 to \(WireLimits.gradientsReduced)")
    }
    var gradients: [Reduction.Gradient] = []
    for index in 0..<c.n_gradients {
      guard let gradient = c.gradients[index]?.pointee else { continue }
      gradients.append(try held(gradient))
    }
    return Reduction(
      step: try step(c.step, "reduction.step"), number: c.number, gradients: gradients,
      chunks: try chunks(c.chunks, c.n_chunks, "reduction.chunks"))
  }

  private func held(_ c: Massl__HeldGradient) throws(WireError) -> Reduction.Gradient {
    let field = "reduction.gradients"
    guard c.n_holders <= WireLimits.gradientHolders else {
      throw bad(field + ".holders", "has \(c.n_holders) addresses, more than \(WireLimits.gradientHolders)")
    }
    let holders = try addresses(c.holders, c.n_holders, field + ".holders")
    // What the coordinator itself has is checked by nobody.
    let hash = holders.isEmpty && c.hash.len == 0 ? nil : try contentHash(c.hash, field + ".hash")
    guard holders.isEmpty == (hash == nil) else { throw bad(field + ".hash", "is there without a holder") }
    return Reduction.Gradient(slices: try slices(c.slices, field + ".slices"), hash: hash, holders: holders)
  }

  private func chunks(_ chunks: UnsafeMutablePointer<UInt32>?, _ count: Int, _ field: String) throws(WireError) -> [Int]
  {
    guard 1...WireLimits.gradientChunks ~= count else {
      throw bad(field, "has \(count) chunks, not 1 to \(WireLimits.gradientChunks)")
    }
    let chunks = UnsafeBufferPointer(start: chunks, count: count).map { Int($0) }
    guard zip(chunks, chunks.dropFirst()).allSatisfy({ $0 < $1 }) else { throw bad(field, "does not ascend") }
    guard chunks[count - 1] < WireLimits.gradientChunks else {
      throw bad(field, "has chunk \(chunks[count - 1]), not below \(WireLimits.gradientChunks)")
    }
    return chunks
  }

  func chunk(_ value: UInt32, _ field: String) throws(WireError) -> Int {
    try number(UInt64(value), field, 0...(WireLimits.gradientChunks - 1))
  }

  func reductionFailed(_ c: Massl__ReductionFailed) throws(WireError) -> ReductionFailure {
    ReductionFailure(
      number: c.number, chunks: try chunks(c.chunks, c.n_chunks, "reduction_failed.chunks"),
      reason: try text(c.reason, "reduction_failed.reason", WireLimits.sentence))
  }

  func gradientRequest(_ c: Massl__GradientRequest) throws(WireError) -> BulkRequest {
    .gradient(
      GradientChunk(
        step: try step(c.step, "gradient_request.step"), slices: try slices(c.slices, "gradient_request.slices"),
        chunk: try chunk(c.chunk, "gradient_request.chunk")))
  }

  func gradient(_ c: Massl__Gradient) throws(WireError) -> BulkReply {
    .gradient(
      GradientChunk(
        step: try step(c.step, "gradient.step"), slices: try slices(c.slices, "gradient.slices"),
        chunk: try chunk(c.chunk, "gradient.chunk")))
  }

  func contentHash(_ c: ProtobufCBinaryData, _ field: String) throws(WireError) -> ContentHash {
    let bytes = UnsafeRawBufferPointer(start: c.data, count: c.len)
    guard let hash = ContentHash.hashes(in: bytes, count: 1)?.first else {
      throw bad(field, "has \(c.len) bytes, not \(ContentHash.byteCount)")
    }
    return hash
  }
}
