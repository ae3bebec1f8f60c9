import Configuration
import Coordination
import Messages
import Numerics
import Services
import Slices
import TestSupport
import Testing
import Training
import Wire

@Suite("The coordinator takes the sums that it asked for, and no others") struct StepReductionTests {
  private static let peer = PeerID(rawValue: 7)
  private static let other = PeerID(rawValue: 8)

  private let definition: RunDefinition
  private let reduction: StepReduction
  private let frames: FrameSource
  /// Floats of a gradient of two chunks.
  private var count: Int { definition.layout.count }

  init() throws {
    let keys = ["head_hidden_dim": "300"]
    definition = try RunDefinition(
      configuration: try RunConfiguration(layers: [SmallRun.layer(keys)]), pictures: 12)
    reduction = StepReduction(definition)
    frames = try FrameSource()
    #expect(GradientChunk.count(ofFloats: definition.layout.count) == 2)
  }

  /// - Parameter compared: chunks.
  private func expect(deal: UInt64 = 3, compared: Set<Int> = []) {
    reduction.expect(
      ExpectedSums(step: 1, deal: deal, chunks: [Self.peer: [0], Self.other: [0, 1]], compared: compared))
  }

  private func length(of chunk: Int) -> Int { GradientChunk.floats(of: chunk, in: count).count }

  private func sum(_ chunk: Int, _ value: Float) -> FloatBuffer {
    FloatBuffer([Float](repeating: value, count: length(of: chunk)))
  }

  private func send(
    _ value: Float, _ chunk: Int, deal: UInt64 = 3, from peer: PeerID = peer, floats: Int? = nil
  ) throws -> StepReduction.Taken {
    // What lies past the end has some length too.
    let length = floats ?? (chunk < 2 ? length(of: chunk) : 5)
    return reduction.take(
      try frames.frame([Float](repeating: value, count: length)), ofChunk: chunk, deal: deal, from: peer)
  }

  private func here(
    _ chunk: Int, _ peer: PeerID, isFinite: Bool = true, hash: ContentHash? = nil, deal: UInt64 = 3
  ) -> StepReduction.Taken {
    .here(ArrivedSum(deal: deal, chunk: chunk, peer: peer, isFinite: isFinite, hash: hash))
  }

  private func isRefused(_ taken: StepReduction.Taken, because reason: String) -> Bool {
    if case .refused(let text) = taken { text.contains(reason) } else { false }
  }

  /// Of the first and the last float of each chunk, once all of it is in.
  private func values() throws -> [Float] {
    let whole = try #require(reduction.take())
    let ends = [0, length(of: 0) - 1, length(of: 0), count - 1]
    return ends.map { whole.sum.gradient[$0] }
  }

  /// Something for a tail, for without results there is no whole.
  private func acceptAll(gradient: Float? = nil) throws {
    let floats = definition.floatsPerSlice
    let receiver = PayloadReceiver(gradientCount: count, floatsPerSlice: floats)
    for slice in 0..<definition.tree.count {
      let tail = FloatBuffer([Float](repeating: Float(slice), count: floats))
      let gradientBuffer = FloatBuffer([Float](repeating: gradient ?? 0, count: count))
      let whole = SliceSum(
        slices: SliceRange(first: slice, count: 1), gradient: gradientBuffer, tail: tail,
        losses: [SliceLoss(consistency: Double(slice), koleo: 0, targetEntropy: 1)], chosen: [], undecodable: [])
      let lease = LeaseID(UInt64(slice))
      let finished = Finished(
        lease: lease, step: 1, slices: whole.slices, payload: whole.payloadDigest, payloadCount: whole.payloadCount,
        losses: whole.losses, chosen: [], undecodable: [],
        gradient: GradientIdentity(digest: gradientBuffer.digest, hash: ContentHash(high: 0, low: 1)))
      receiver.expect(lease, from: Self.peer, finished, keepsGradient: gradient == nil)
      if gradient != nil {
        for range in stride(from: 0, to: count, by: 100_000).map({ $0..<min(count, $0 + 100_000) }) {
          let chunk = try frames.frame(range.map { gradientBuffer[$0] })
          #expect(receiver.receive(chunk, at: range.lowerBound, of: lease, from: Self.peer) == .partly)
        }
      }
      let chunk = try frames.frame((0..<floats).map { tail[$0] })
      #expect(receiver.receive(chunk, at: count, of: lease, from: Self.peer) == .ended(.whole))
      reduction.accept(try #require(receiver.take(lease)))
    }
  }

  // MARK: What is not taken

  @Test func nothingIsTakenThatNobodyAskedFor() throws {
    let reason = "is not expected of you"
    #expect(isRefused(try send(1, 0), because: reason), "before any deal")
    expect()
    #expect(isRefused(try send(1, 1), because: reason), "another's chunk")
    #expect(isRefused(try send(1, 0, from: PeerID(rawValue: 9)), because: reason), "who was asked for nothing")
    #expect(isRefused(try send(1, 0, deal: 2), because: reason), "an older deal's")
    #expect(isRefused(try send(1, 0, deal: 4), because: reason), "a deal that there was not")
    reduction.abandon()
    #expect(isRefused(try send(1, 0), because: reason), "of none that is wanted")
    expect(deal: 4)
    #expect(isRefused(try send(1, 0), because: reason), "the deal before")
    #expect(try send(1, 0, deal: 4) == here(0, Self.peer, deal: 4))
  }

  @Test(arguments: [2, 3, 1000, WireLimits.gradientChunks - 1]) func aChunkPastTheEndIsRefused(chunk: Int) throws {
    #expect(isRefused(try send(1, chunk), because: "is not expected of you"))
    expect()
    #expect(isRefused(try send(1, chunk, from: Self.other), because: "is not expected of you"))
  }

  @Test func anotherLengthIsRefused() throws {
    expect()
    let (first, last) = (length(of: 0), length(of: 1))
    #expect(isRefused(try send(1, 0, floats: first - 1), because: "\(4 * first - 4) bytes for the \(first) floats"))
    #expect(isRefused(try send(1, 0, floats: first + 1), because: "of chunk 0"))
    #expect(isRefused(try send(1, 1, from: Self.other, floats: first), because: "for the \(last) floats of chunk 1"))
    #expect(try send(1, 0) == here(0, Self.peer))
  }

  // MARK: What counts

  @Test func theFirstSumOfAChunkStaysUnlessTheCoordinatorsOwnComes() throws {
    expect()
    #expect(try send(1, 0) == here(0, Self.peer))
    #expect(try send(2, 0, from: Self.other) == here(0, Self.other))
    #expect(try send(3, 1, from: Self.other) == here(1, Self.other))
    try acceptAll()
    #expect(try values() == [1, 1, 3, 3])
    // The next step knows nothing of it.
    #expect(reduction.take() == nil)
    expect()
    #expect(try send(1, 0) == here(0, Self.peer))
    let own = reduction.take(own: sum(0, 5), ofChunk: 0, deal: 3)
    #expect(own == ArrivedSum(deal: 3, chunk: 0, peer: nil, isFinite: true, hash: nil))
    #expect(try send(2, 0, from: Self.other) == here(0, Self.other))
    #expect(reduction.take(own: sum(1, 6), ofChunk: 1, deal: 3) != nil)
    #expect(reduction.take(own: sum(1, 6), ofChunk: 1, deal: 2) == nil)
    try acceptAll()
    #expect(try values() == [5, 5, 6, 6])
  }

  @Test func aSumThatIsNotFiniteIsSaidToBeAndKeepsNoPlace() throws {
    expect()
    #expect(try send(.nan, 0) == here(0, Self.peer, isFinite: false))
    #expect(try send(2, 0, from: Self.other) == here(0, Self.other))
    #expect(try send(3, 1, from: Self.other) == here(1, Self.other))
    try acceptAll()
    #expect(try values() == [2, 2, 3, 3])
  }

  @Test func sumsOfChunksThatAreComparedHaveTheirHash() throws {
    expect(compared: [0])
    let hash = ContentHash(of: sum(0, 2).contentHashes(ofChunks: length(of: 0)))
    let own = sum(0, 2).withBytes(of: 0..<length(of: 0)) { ContentHash(of: $0) }
    #expect(hash != own, "a hash of hashes is another")
    #expect(try send(2, 0) == here(0, Self.peer, hash: own))
    #expect(try send(3, 1, from: Self.other) == here(1, Self.other))
    // Of the sum's floats alone, in a larger buffer.
    let larger = FloatBuffer([Float](repeating: 2, count: length(of: 0) + 40))
    #expect(reduction.take(own: larger, ofChunk: 0, deal: 3)?.hash == own)
  }

  @Test func sumsOfADealBeforeStay() throws {
    expect()
    #expect(try send(1, 0) == here(0, Self.peer))
    reduction.abandon()
    expect(deal: 4)
    #expect(try send(3, 1, deal: 4, from: Self.other) == here(1, Self.other, deal: 4))
    try acceptAll()
    #expect(try values() == [1, 1, 3, 3])
  }

  // MARK: A step

  @Test func resultsAreJoinedInTheOrderOfSlices() throws {
    try acceptAll()
    #expect(reduction.take() == nil, "no sum was asked for")
    expect()
    _ = try send(1, 0)
    _ = try send(3, 1, from: Self.other)
    let whole = try #require(reduction.take())
    #expect(whole.sum.slices == definition.tree.root && whole.sum.losses.map(\.consistency) == [0, 1, 2])
    let tails = (0..<definition.tree.count).map { whole.sum.tail[$0 * definition.floatsPerSlice] }
    #expect(tails == [0, 1, 2])
  }

  @Test func gradientsThatNobodyKeepsAreHereUntilTheyAreForgotten() throws {
    let node = SliceRange(first: 1, count: 1)
    try acceptAll()
    #expect(reduction.gradient(of: node) == nil, "its worker keeps it")
    try acceptAll(gradient: 4)
    #expect(reduction.gradient(of: node)?[count - 1] == 4)
    reduction.forget(node)
    #expect(reduction.gradient(of: node) == nil && reduction.gradient(of: SliceRange(first: 2, count: 1)) != nil)
    expect()
    reduction.startOver()
    #expect(reduction.gradient(of: SliceRange(first: 2, count: 1)) == nil)
    #expect(isRefused(try send(1, 0), because: "is not expected of you"))
    #expect(reduction.take() == nil)
  }
}
