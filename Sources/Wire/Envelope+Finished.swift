internal import CMessages
internal import CProtobufC
import Messages
import Numerics
import Packing
import Slices

// What a lease came to, to protobuf and back.

extension MessageMemory {
  func write(_ finished: Finished) -> UnsafeMutablePointer<Massl__Finished> {
    invariant(finished.losses.count == finished.slices.count, "one loss a slice")
    let c = make(Massl__Finished.self, massl__finished__init)
    c.pointee.lease = finished.lease.number
    c.pointee.step = number(finished.step)
    c.pointee.slices = slices(finished.slices)
    c.pointee.payload = digest(finished.payload)
    c.pointee.payload_count = number(finished.payloadCount)
    (c.pointee.n_consistency, c.pointee.consistency) = (
      finished.losses.count, array(finished.losses.map(\.consistency))
    )
    (c.pointee.n_koleo, c.pointee.koleo) = (finished.losses.count, array(finished.losses.map(\.koleo)))
    (c.pointee.n_target_entropy, c.pointee.target_entropy) = (
      finished.losses.count, array(finished.losses.map(\.targetEntropy))
    )
    (c.pointee.n_undecodable, c.pointee.undecodable) = write(finished.undecodable)
    invariant(finished.chosen.count <= WireLimits.chosenBytes, "\(finished.chosen.count) bytes of chosen slots")
    c.pointee.chosen = bytes(finished.chosen)
    c.pointee.rows_cached = number(finished.traffic.cached)
    c.pointee.rows_fetched = number(finished.traffic.fetched)
    c.pointee.rows_waited_us = number(finished.traffic.waited)
    c.pointee.weights_us = number(finished.traffic.weights)
    if let gradient = finished.gradient {
      c.pointee.gradient = digest(gradient.digest)
      c.pointee.gradient_hash = bytes(gradient.hash.bytes)
    }
    return c
  }

  func write(
    _ undecodable: [UndecodablePicture]
  ) -> (Int, UnsafeMutablePointer<UnsafeMutablePointer<Massl__UndecodablePicture>?>?) {
    let pictures = undecodable.prefix(WireLimits.undecodablePictures).map { undecodable in
      let c = make(Massl__UndecodablePicture.self, massl__undecodable_picture__init)
      c.pointee.picture = number(undecodable.picture)
      c.pointee.reason = text(undecodable.reason, cutTo: WireLimits.shortText)
      return Optional(c)
    }
    return (pictures.count, array(pictures))
  }
}

extension FieldReader {
  func finished(_ c: Massl__Finished) throws(WireError) -> Finished {
    let slices = try self.slices(c.slices, "finished.slices")
    let consistency = try shares(c.consistency, c.n_consistency, of: slices, "finished.consistency")
    let koleo = try shares(c.koleo, c.n_koleo, of: slices, "finished.koleo")
    let entropy = try shares(c.target_entropy, c.n_target_entropy, of: slices, "finished.target_entropy")
    guard c.chosen.len <= WireLimits.chosenBytes else {
      throw bad("finished.chosen", "has \(c.chosen.len) bytes, more than \(WireLimits.chosenBytes)")
    }
    var finished = Finished(
      lease: LeaseID(c.lease), step: try step(c.step, "finished.step"), slices: slices,
      payload: try digest(c.payload, "finished.payload"),
      payloadCount: try offset(c.payload_count, "finished.payload_count"),
      losses: (0..<slices.count).map {
        SliceLoss(consistency: consistency[$0], koleo: koleo[$0], targetEntropy: entropy[$0])
      },
      chosen: Array(UnsafeBufferPointer(start: c.chosen.data, count: c.chosen.len)),
      undecodable: try undecodable(c.undecodable, c.n_undecodable, "finished.undecodable"),
      gradient: try gradientIdentity(c))
    finished.traffic = StepTraffic(
      weights: try offset(c.weights_us, "finished.weights_us"),
      cached: try offset(c.rows_cached, "finished.rows_cached"),
      fetched: try offset(c.rows_fetched, "finished.rows_fetched"),
      waited: try offset(c.rows_waited_us, "finished.rows_waited_us"))
    return finished
  }

  func undecodable(
    _ pictures: UnsafeMutablePointer<UnsafeMutablePointer<Massl__UndecodablePicture>?>?, _ count: Int, _ field: String
  ) throws(WireError) -> [UndecodablePicture] {
    guard count <= WireLimits.undecodablePictures else {
      throw bad(field, "names \(count) pictures, more than \(WireLimits.undecodablePictures)")
    }
    var undecodable: [UndecodablePicture] = []
    for index in 0..<count {
      guard let picture = pictures?[index]?.pointee else { continue }
      undecodable.append(
        UndecodablePicture(
          picture: try offset(picture.picture, field + ".picture"),
          reason: try text(picture.reason, field + ".reason", WireLimits.shortText)))
    }
    return undecodable
  }

  /// One number a slice. It need not be finite: that is for the state machine to judge, which has another worker compute
  /// the slice again.
  private func shares(_ values: UnsafeMutablePointer<Double>?, _ count: Int, of slices: SliceRange, _ field: String)
    throws(WireError) -> [Double]
  {
    guard count == slices.count else { throw bad(field, "has \(count) numbers for \(slices.count) slices") }
    return Array(UnsafeBufferPointer(start: values, count: count))
  }

  /// Digest and hash of a result's gradient: both or none.
  private func gradientIdentity(_ c: Massl__Finished) throws(WireError) -> GradientIdentity? {
    guard c.gradient.len > 0 || c.gradient_hash.len > 0 else { return nil }
    return GradientIdentity(
      digest: try digest(c.gradient, "finished.gradient"),
      hash: try contentHash(c.gradient_hash, "finished.gradient_hash"))
  }
}
