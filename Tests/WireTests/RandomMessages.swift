import MemoryBank
import Messages
import Numerics
import Slices
import TestSupport

extension SplitMix64 {
  /// Often small, often at the limit.
  mutating func number(below limit: Int = WireLimits.offset) -> Int {
    [0, limit - 1, Int.random(in: 0..<limit, using: &self), Int.random(in: 0..<min(limit, 300), using: &self)]
      .randomElement(using: &self)!
  }

  mutating func digest() -> Digest { Digest(high: next(), low: next()) }

  mutating func contentHash() -> ContentHash { ContentHash(high: next(), low: next()) }

  /// Of a gradient, ascending.
  mutating func chunks() -> [Int] {
    Set((0...number(below: 9)).map { _ in number(below: WireLimits.gradientChunks) }).sorted()
  }

  mutating func text(atMost limit: Int) -> String {
    let count = Int.random(in: 0...min(limit, 60), using: &self)
    return String((0..<count / 4).map { _ in ["a", "é", "€", "🦊", "\n"].randomElement(using: &self)! })
  }
}

/// One message of each case, with random values within the limits.
func everyMessage(_ random: inout SplitMix64) -> [Message] {
  let first = random.number(below: 100)
  let slices = SliceRange(first: first, count: 1 + Int.random(in: 0..<20, using: &random))
  let rows = 1 + Int.random(in: 0..<100, using: &random)
  var missing = (0..<(rows + 7) / 8).map { _ in UInt8.random(in: 0...255, using: &random) }
  if rows % 8 != 0 { missing[missing.count - 1] &= UInt8(1 << (rows % 8)) - 1 }
  let position = random.number()
  let total = 1 + random.number(below: 1 << 40)
  let network = Network.allCases.randomElement(using: &random)!
  let lease = LeaseID(random.next())
  return [
    .worker(
      .hello(
        Hello(
          protocolVersion: .random(in: 0 ... .max, using: &random), name: random.text(atMost: WireLimits.shortText),
          threads: 1 + random.number(below: WireLimits.threads), probe: random.digest(),
          libraries: LibraryVersions(
            openBLAS: random.text(atMost: WireLimits.shortText), libjpeg: random.text(atMost: WireLimits.shortText),
            oneDNN: random.text(atMost: WireLimits.shortText)),
          address: random.chance(0.5) ? random.bulkAddress() : nil, evaluates: .random(using: &random)))),
    .worker(
      .ready(
        Ready(
          idleThreads: random.number(below: WireLimits.threads + 1),
          held: (0..<Int.random(in: 0..<9, using: &random)).map { _ in LeaseID(random.next()) },
          gradients: random.number(below: WireLimits.gradientsKept + 1)))),
    .worker(
      .finished(
        with(
          traffic: StepTraffic(
            weights: random.number(), cached: random.number(), fetched: random.number(), waited: random.number()),
          Finished(
            lease: lease, step: random.number(), slices: slices, payload: random.digest(),
            payloadCount: random.number(),
            losses: slices.indices.map { _ in
              SliceLoss(
                consistency: .random(in: -9...9, using: &random), koleo: .random(in: -9...9, using: &random),
                targetEntropy: .random(in: 0...9, using: &random))
            },
            chosen: (0..<random.number(below: 40)).map { _ in UInt8.random(in: 0 ... .max, using: &random) },
            undecodable: (0..<Int.random(in: 0..<4, using: &random)).map { _ in
              UndecodablePicture(picture: random.number(), reason: random.text(atMost: WireLimits.shortText))
            },
            gradient: random.chance(0.5)
              ? GradientIdentity(digest: random.digest(), hash: random.contentHash()) : nil)))),
    .worker(
      .returned(
        Returned(
          lease: lease, reason: random.text(atMost: WireLimits.sentence),
          undecodable: (0..<Int.random(in: 0..<4, using: &random)).map { _ in
            UndecodablePicture(picture: random.number(), reason: random.text(atMost: WireLimits.shortText))
          }, isPassing: .random(using: &random)))),
    .worker(.statusRequest),
    .worker(.goodbye),
    .coordinator(
      .welcome(
        Welcome(
          configuration: random.text(atMost: WireLimits.document), bulkPort: 1 + random.number(below: 65_535),
          data: DataIdentity(count: random.number(), digest: random.digest()), rows: random.number()))),
    .coordinator(
      .refusal(
        Refusal(
          reason: .allCases.randomElement(using: &random)!, text: random.text(atMost: WireLimits.sentence)))),
    .coordinator(
      .lease(
        Lease(
          lease: lease, step: random.number(), slices: slices, student: random.digest(), teacher: random.digest(),
          rows: random.number(), memoryFloor: random.number(), holdersVersion: random.next(),
          lost: Set((0..<Int.random(in: 0..<6, using: &random)).map { _ in random.number() }).sorted(),
          exchangesWeights: .random(using: &random), hashesGradient: .random(using: &random)))),
    .coordinator(.heartbeat(step: random.number())),
    .coordinator(.grant(lease, keepsGradient: .random(using: &random))),
    .coordinator(
      .reduction(
        Reduction(
          step: random.number(), number: random.next(),
          gradients: (0...random.number(below: 9)).map { _ in
            let holders = random.some(upTo: WireLimits.gradientHolders) { $0.bulkAddress() }
            return Reduction.Gradient(
              slices: slices, hash: holders.isEmpty ? nil : random.contentHash(), holders: holders)
          }, chunks: random.chunks()))),
    .worker(
      .reductionFailed(
        ReductionFailure(
          number: random.next(), chunks: random.chunks(), reason: random.text(atMost: WireLimits.sentence)))),
    .worker(.evaluated(Evaluated(lease: lease, figures: random.figures()))),
    .coordinator(.evaluate(random.evaluate(lease))),
    .coordinator(.cancel(lease)),
    .coordinator(.status(json: random.text(atMost: WireLimits.document))),
    .coordinator(.finished),
    .bulkRequest(
      .weights(
        network: network, step: random.number(), offset: random.number(),
        count: 1 + random.number(below: WireLimits.bulkFloats))),
    .bulkRequest(
      .rows(
        RowRequest(
          version: MemoryVersion(step: random.number(), rows: random.number(), floor: random.number()),
          block: random.number(), positions: position..<(position + rows), missing: missing))),
    .bulkRequest(.picture(index: random.number(), offset: random.number(), own: nil)),
    .bulkRequest(
      .picture(
        index: random.number(), offset: random.number(),
        own: PictureIdentity(size: random.number(), digest: random.digest()))),
    .bulkRequest(.push(lease: lease, offset: random.number())),
    .bulkRequest(.weightSources(step: random.number())),
    .bulkRequest(.gradientHashes(step: random.number(), slices: slices)),
    .bulkReply(.gradientHashes(step: random.number(), slices: slices)),
    .bulkRequest(
      .gradient(
        GradientChunk(step: random.number(), slices: slices, chunk: random.number(below: WireLimits.gradientChunks)))),
    .bulkReply(
      .gradient(
        GradientChunk(step: random.number(), slices: slices, chunk: random.number(below: WireLimits.gradientChunks)))),
    .bulkRequest(.sum(reduction: random.next(), chunk: random.number(below: WireLimits.gradientChunks))),
    .bulkReply(.summed(reduction: random.next(), chunk: random.number(below: WireLimits.gradientChunks))),
    .bulkReply(
      .weightSources(
        WeightSources(
          step: random.number(), sources: [random.bulkAddress()] + random.some(upTo: 4) { $0.bulkAddress() },
          hashes: (0...random.number(below: 40)).map { _ in random.contentHash() }))),
    .bulkReply(.weights(network: network, step: random.number(), offset: random.number())),
    .bulkReply(.rows(step: random.number(), block: random.number(), first: random.number())),
    .bulkReply(.picture(index: random.number(), offset: random.number(below: total), total: total)),
    .bulkReply(.samePicture(index: random.number())),
    .bulkReply(.pushed(lease)),
    .bulkReply(.unavailable(reason: random.text(atMost: WireLimits.sentence))),
  ] + everyShardMessage(&random)
}

extension SplitMix64 {
  fileprivate mutating func figures() -> Evaluated.Figures {
    let pictures = number(below: WireLimits.evaluationPictures + 1)
    let asked = number(below: pictures + 1)
    return Evaluated.Figures(
      pictures: pictures, rankMe: .random(in: 0...900, using: &self), lidar: .random(in: 0...900, using: &self),
      alphaReQ: .random(in: -2...9, using: &self), right: number(below: asked + 1), asked: asked)
  }

  fileprivate mutating func evaluate(_ lease: LeaseID) -> Evaluate {
    let pictures = Set((0...number(below: 40)).map { _ in number() }).sorted()
    let isLabelled = chance(0.5)
    return Evaluate(
      lease: lease, step: number(), teacher: digest(), pictures: pictures,
      classes: pictures.map { _ in isLabelled && chance(0.8) ? number(below: WireLimits.classes - 1) : nil })
  }
}

func someSender(_ random: inout SplitMix64, peer: PeerID? = nil) -> Sender {
  Sender(
    run: RunIdentity(high: random.next(), low: random.next()), incarnation: Incarnation(random.next()),
    peer: peer ?? PeerID(rawValue: random.next()))
}

private func with(traffic: StepTraffic, _ finished: Finished) -> Finished {
  var finished = finished
  finished.traffic = traffic
  return finished
}
