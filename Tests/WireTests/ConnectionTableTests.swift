import Messages
import Testing
import Wire

@Suite("A router knows which connections stand, and who speaks over them")
struct ConnectionTableTests {
  let worker = PeerID(rawValue: 1)
  let other = PeerID(rawValue: 2)

  /// A message of a peer that may speak over this connection.
  private func say(
    _ peer: PeerID, over descriptor: Int32, _ routingID: [UInt8], in table: inout ConnectionTable
  ) -> PeerID? {
    let gone = table.receive(over: descriptor, routingID)
    let claim = table.claim(peer, over: descriptor) { _ in false }
    #expect(claim == .granted)
    return gone
  }

  @Test func whoSpokeOverAConnectionIsGoneWithIt() {
    var table = ConnectionTable()
    #expect(table.begin(9) == nil)
    #expect(say(worker, over: 9, [1], in: &table) == nil)
    #expect(say(worker, over: 9, [1], in: &table) == nil)
    #expect(table.standing[9]?.peer == worker)
    #expect(table.routingID(of: worker) == [1])
    #expect(table.end(9) == worker)
    #expect(table.standing.isEmpty && table.end(9) == nil && table.routingID(of: worker) == nil)
  }

  @Test func whoSpeaksOverANewerConnectionIsNotGoneWithTheOlder() {
    var table = ConnectionTable()
    _ = table.begin(9)
    _ = say(worker, over: 9, [1], in: &table)
    _ = table.begin(10)
    #expect(say(worker, over: 10, [2], in: &table) == nil)
    #expect(table.end(9) == nil && table.routingID(of: worker) == [2])
    #expect(table.end(10) == worker)
  }

  @Test func anIdBelongsToItsConnectionAsLongAsThatIsHeard() {
    var table = ConnectionTable()
    _ = table.begin(9)
    _ = say(worker, over: 9, [1], in: &table)
    _ = table.begin(10)
    _ = table.receive(over: 10, [2])
    var claim = table.claim(worker, over: 10) { $0 == 9 }
    #expect(claim == .taken && table.routingID(of: worker) == [1])
    claim = table.claim(other, over: 10) { _ in true }
    #expect(claim == .granted)
    claim = table.claim(worker, over: 10) { _ in false }
    #expect(claim == .otherPeer(other))
    // Half-open: the worker came back over another connection, and this one's other end is silent.
    _ = table.begin(11)
    _ = table.receive(over: 11, [3])
    claim = table.claim(worker, over: 11) { _ in false }
    #expect(claim == .granted && table.routingID(of: worker) == [3])
    claim = table.claim(worker, over: 9) { $0 == 11 }
    #expect(claim == .taken)
  }

  @Test func whoDidNotSayItsIdHasOneUntilItDoes() {
    var table = ConnectionTable()
    #expect(table.stranger(over: 9) == nil)
    _ = table.begin(9)
    _ = table.receive(over: 9, [1])
    let stranger = table.stranger(over: 9)
    #expect(stranger != nil && table.stranger(over: 9) == stranger && table.speaker(over: 9) == nil)
    #expect(stranger.map { table.routingID(of: $0) == [1] } == true)
    _ = say(worker, over: 9, [1], in: &table)
    #expect(table.speaker(over: 9) == worker && table.stranger(over: 9) == worker)
    #expect(stranger.map { table.routingID(of: $0) == nil } == true)
  }

  @Test func aLateMessageCountsUnlessItsPeerCameBack() {
    var table = ConnectionTable()
    _ = table.begin(9)
    _ = say(worker, over: 9, [1], in: &table)
    #expect(table.end(9) == worker)
    #expect(say(worker, over: 9, [1], in: &table) == nil)
    #expect(table.routingID(of: worker) == nil && table.speaker(over: 9) == nil)
    _ = table.begin(10)
    _ = say(worker, over: 10, [2], in: &table)
    #expect(table.receive(over: 9, [1]) == nil)
    let claim = table.claim(worker, over: 9) { _ in false }
    #expect(claim == .late)
  }

  @Test func aDescriptorThatIsUsedAgainIsAnotherConnection() {
    var table = ConnectionTable()
    _ = table.begin(9)
    _ = say(worker, over: 9, [1], in: &table)
    // The end of the one before was never told.
    #expect(table.begin(9) == worker)
    #expect(say(other, over: 9, [2], in: &table) == nil)
    #expect(table.standing[9]?.peer == other)
    // A late message of it: the living one sets it right with its next message.
    #expect(say(worker, over: 9, [1], in: &table) == other)
    #expect(say(other, over: 9, [2], in: &table) == worker)
    #expect(table.end(9) == other)
  }
}
