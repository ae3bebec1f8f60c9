import Coordination
import Messages
import Numerics
import Services
import Slices
import Testing
import Training
import Wire

@Suite("A granted payload arrives whole, or not at all") struct PayloadReceiverTests {
  private static let gradientCount = 8
  private static let floatsPerSlice = 3
  private static let lease = LeaseID(5)
  private static let peer = PeerID(rawValue: 7)

  private let receiver = PayloadReceiver(gradientCount: gradientCount, floatsPerSlice: floatsPerSlice)
  private let frames: FrameSource

  init() throws { frames = try FrameSource() }

  /// Two slices' payload of 8 + 6 floats: `first`, `first + 1` and so on.
  private static func payload(from first: Float = 100) -> [Float] {
    (0..<gradientCount + 2 * floatsPerSlice).map { first + Float($0) }
  }

  /// What a worker announces of such a payload.
  private static func finished(_ payload: [Float], _ lease: LeaseID) -> Finished {
    let sum = SliceSum(
      slices: SliceRange(first: 2, count: 2), gradient: FloatBuffer(Array(payload[..<gradientCount])),
      tail: FloatBuffer(Array(payload[gradientCount...])),
      losses: [1, 2].map { SliceLoss(consistency: $0, koleo: 0, targetEntropy: 1) }, chosen: [3], undecodable: [])
    return Finished(
      lease: lease, step: 4, slices: sum.slices, payload: sum.payloadDigest, payloadCount: sum.payloadCount,
      losses: sum.losses, chosen: sum.chosen, undecodable: [])
  }

  private func expect(_ payload: [Float], _ lease: LeaseID = lease) {
    receiver.expect(lease, from: Self.peer, Self.finished(payload, lease))
  }

  private func push(
    _ range: Range<Int>, of payload: [Float], _ lease: LeaseID = lease, from peer: PeerID = peer
  ) throws -> PayloadReceiver.Taken {
    receiver.receive(try frames.frame(Array(payload[range])), at: range.lowerBound, of: lease, from: peer)
  }

  /// The floats of a payload that is whole.
  private func taken(_ lease: LeaseID = lease) throws -> [Float] {
    let arrival = try #require(receiver.take(lease))
    #expect(arrival.peer == Self.peer && arrival.results.slices == SliceRange(first: 2, count: 2))
    #expect(arrival.results.losses.map(\.consistency) == [1, 2] && arrival.results.chosen == [3])
    return [arrival.gradient, arrival.results.tail].compactMap { $0 }.flatMap { part in
      (0..<part.count).map { part[$0] }
    }
  }

  @Test func chunksInOrderMakeThePayloadWhichIsTakenOnce() throws {
    let payload = Self.payload()
    expect(payload)
    #expect(try push(0..<4, of: payload) == .partly)
    #expect(try push(4..<8, of: payload) == .partly)
    #expect(try push(8..<14, of: payload) == .ended(.whole))
    #expect(try taken() == payload)
    #expect(receiver.take(Self.lease) == nil)
  }

  @Test func chunksThatAreHereAlreadyArePassedOver() throws {
    let payload = Self.payload()
    expect(payload)
    #expect(try push(0..<4, of: payload) == .partly)
    // Other floats, so that it shows if they are written.
    #expect(try push(0..<4, of: Self.payload(from: 900)) == .partly)
    #expect(try push(4..<8, of: payload) == .partly)
    #expect(try push(0..<8, of: Self.payload(from: 900)) == .partly)
    #expect(try push(8..<14, of: payload) == .ended(.whole))
    #expect(try push(8..<14, of: Self.payload(from: 900)) == .again)
    #expect(try push(0..<4, of: Self.payload(from: 900)) == .again)
    #expect(try taken() == payload)
  }

  @Test func chunksOfTwoPayloadsThatCrossDoNotMix() throws {
    let other = LeaseID(6)
    let (payload, others) = (Self.payload(), Self.payload(from: 500))
    expect(payload)
    expect(others, other)
    #expect(try push(0..<8, of: payload) == .partly)
    #expect(try push(0..<6, of: others, other) == .partly)
    #expect(try push(8..<11, of: payload) == .partly)
    #expect(try push(6..<8, of: others, other) == .partly)
    #expect(try push(8..<14, of: others, other) == .ended(.whole))
    #expect(try push(11..<14, of: payload) == .ended(.whole))
    #expect(try taken() == payload)
    #expect(try taken(other) == others)
  }

  @Test func aChunkAfterOneThatIsMissingIsRefusedWithWhereToGoOn() throws {
    let payload = Self.payload()
    expect(payload)
    #expect(try push(0..<2, of: payload) == .partly)
    #expect(
      try push(4..<8, of: payload)
        == .refused("a chunk at 4, but those from 2 on are missing: push from there"))
    #expect(try push(2..<8, of: payload) == .partly)
    #expect(try push(8..<14, of: payload) == .ended(.whole))
    #expect(try taken() == payload)
  }

  @Test func aChunkThatCrossesFromTheGradientToTheRowsIsRefused() throws {
    let payload = Self.payload()
    expect(payload)
    #expect(try push(0..<4, of: payload) == .partly)
    #expect(
      try push(4..<9, of: payload) == .refused("a chunk at 4 crosses from the gradient to the rows"))
    #expect(try push(4..<8, of: payload) == .partly)
    #expect(try push(8..<14, of: payload) == .ended(.whole))
    #expect(try taken() == payload)
  }

  @Test(arguments: [(0, 15), (8, 7), (13, 2), (14, 1), (WireLimits.offset - 1, 1)])
  func aChunkThatReachesBeyondThePayloadIsRefused(offset: Int, count: Int) throws {
    let payload = Self.payload()
    expect(payload)
    #expect(try push(0..<8, of: payload) == .partly)
    let chunk = try frames.frame([Float](repeating: 1, count: count))
    #expect(
      receiver.receive(chunk, at: offset, of: Self.lease, from: Self.peer)
        == .refused("floats \(offset) to \(offset + count) of a payload of 14"))
    #expect(try push(8..<14, of: payload) == .ended(.whole))
    #expect(try taken() == payload)
  }

  @Test(arguments: [0, 7, 8, 13]) func anotherFloatThanWasAnnouncedIsDamageAndThePayloadIsForgotten(index: Int) throws {
    var payload = Self.payload()
    expect(payload)
    payload[index] += 1
    #expect(try push(0..<8, of: payload) == .partly)
    #expect(try push(8..<14, of: payload) == .ended(.damaged))
    #expect(try push(8..<14, of: payload) == Self.notExpected)
    #expect(receiver.take(Self.lease) == nil)
  }

  @Test(arguments: [0, 7, 8, 13], [Float.nan, .infinity, -.infinity])
  func whatIsNotFiniteIsSaidToBeAndIsForgotten(index: Int, value: Float) throws {
    var payload = Self.payload()
    payload[index] = value
    expect(payload)
    #expect(try push(0..<8, of: payload) == .partly)
    #expect(try push(8..<14, of: payload) == .ended(.notFinite))
    #expect(try push(8..<14, of: payload) == Self.notExpected)
    #expect(receiver.take(Self.lease) == nil)
  }

  @Test func onlyWhoWasGrantedPushesAndOnlyUntilItIsAbandoned() throws {
    let payload = Self.payload()
    #expect(try push(0..<4, of: payload) == Self.notExpected)
    expect(payload)
    #expect(try push(0..<4, of: payload, from: PeerID(rawValue: 8)) == Self.notExpected)
    #expect(try push(0..<4, of: payload) == .partly)
    receiver.abandon(Self.lease)
    #expect(try push(4..<8, of: payload) == Self.notExpected)
  }

  @Test func aPayloadOfWhichSomethingIsMissingIsNotGiven() throws {
    let payload = Self.payload()
    expect(payload)
    #expect(try push(0..<8, of: payload) == .partly)
    #expect(receiver.take(Self.lease) == nil)
  }

  // MARK: A gradient that stays with its worker

  /// What a worker announces of a payload whose gradient it may keep.
  private static func finished(_ payload: [Float], keeping gradient: [Float]) -> Finished {
    var finished = Self.finished(payload, lease)
    finished.gradient = GradientIdentity(digest: FloatBuffer(gradient).digest, hash: ContentHash(high: 1, low: 2))
    return finished
  }

  @Test func theTailAloneIsWholeWhereTheGradientStays() throws {
    let payload = Self.payload()
    let finished = Self.finished(payload, keeping: Array(payload[..<Self.gradientCount]))
    receiver.expect(Self.lease, from: Self.peer, finished, keepsGradient: true)
    #expect(try push(8..<11, of: payload) == .partly)
    #expect(try push(11..<14, of: payload) == .ended(.whole))
    let arrival = try #require(receiver.take(Self.lease))
    #expect(arrival.gradient == nil)
    #expect((0..<arrival.results.tail.count).map { arrival.results.tail[$0] } == Array(payload[8...]))
  }

  @Test(arguments: [0..<4, 4..<8, 0..<8]) func ofAGradientThatStaysNothingIsTaken(range: Range<Int>) throws {
    let payload = Self.payload()
    let finished = Self.finished(payload, keeping: Array(payload[..<Self.gradientCount]))
    receiver.expect(Self.lease, from: Self.peer, finished, keepsGradient: true)
    // Other floats, so that it shows if they are written.
    #expect(try push(range, of: Self.payload(from: 900)) == .partly)
    #expect(try push(range.lowerBound..<9, of: payload) == Self.crosses(range.lowerBound))
    #expect(try push(8..<14, of: payload) == .ended(.whole))
    let arrival = try #require(receiver.take(Self.lease))
    #expect((0..<arrival.results.tail.count).map { arrival.results.tail[$0] } == Array(payload[8...]))
  }

  private static func crosses(_ offset: Int) -> PayloadReceiver.Taken {
    .refused("a chunk at \(offset) crosses from the gradient to the rows")
  }

  @Test func aTailIsJudgedWithTheAnnouncedGradientsDigest() throws {
    let payload = Self.payload()
    var gradient = Array(payload[..<Self.gradientCount])
    gradient[3] += 1
    // The payload's digest is of another gradient than the one that it names.
    receiver.expect(Self.lease, from: Self.peer, Self.finished(payload, keeping: gradient), keepsGradient: true)
    #expect(try push(8..<14, of: payload) == .ended(.damaged))
    #expect(receiver.take(Self.lease) == nil)
    // None is named at all.
    receiver.expect(Self.lease, from: Self.peer, Self.finished(payload, Self.lease), keepsGradient: true)
    #expect(try push(8..<14, of: payload) == .ended(.damaged))
  }

  @Test(arguments: [8, 13]) func aTailThatIsNotFiniteIsSaidToBeWhereverTheGradientIs(index: Int) throws {
    var payload = Self.payload()
    payload[index] = .nan
    let finished = Self.finished(payload, keeping: Array(payload[..<Self.gradientCount]))
    receiver.expect(Self.lease, from: Self.peer, finished, keepsGradient: true)
    #expect(try push(8..<14, of: payload) == .ended(.notFinite))
  }

  private static let notExpected = PayloadReceiver.Taken.refused(
    "lease 5 is not expected: it was taken back, or is done")
}
