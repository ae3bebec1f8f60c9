import Coordination
import Messages
import Numerics
import Slices
import Testing

/// What only the coordinator can judge, for it knows the lease, the run and the worker: fields are within the bounds of
/// `Wire` already.
@Suite("A worker's message that does not fit its lease or the run is refused by what does not fit")
struct MessageBoundsTests {
  /// Another content of a message, and what its refusal says.
  struct Row<Content>: Sendable, CustomTestStringConvertible {
    let says: String
    let spoil: @Sendable (inout Content) -> Void
    var testDescription: String { says }

    init(_ says: String, _ spoil: @escaping @Sendable (inout Content) -> Void) {
      self.says = says
      self.spoil = spoil
    }
  }

  private static let long = String(repeating: "x", count: CoordinationLimits.textLength + 1)
  private static let stray = UndecodablePicture(picture: 1000, reason: "")

  private func expectRefusal(_ script: Script, says: String) {
    #expect(script.refusals.map(\.reason) == [.malformed])
    #expect(script.refusals.first?.text.contains(says) == true, "\(script.refusals)")
    #expect(script.status.counts.malformed == 1)
  }

  @Test(arguments: [
    Row<Hello>("hello with 0 threads") { $0.threads = 0 },
    Row<Hello>("hello with 1025 threads") { $0.threads = 1025 },
    Row<Hello>("a name of 257 bytes") { $0.name = Self.long },
    Row<Hello>("a host of 257") { $0.host = Self.long },
  ])
  func hellos(row: Row<Hello>) throws {
    var script = Script()
    var hello = Hello(protocolVersion: 2, name: "host", threads: 1, probe: Script.probe)
    row.spoil(&hello)
    try script.say(.hello(hello), 1)
    expectRefusal(script, says: row.says)
    #expect(script.status.workers.isEmpty)
  }

  @Test(arguments: [
    Row<Ready>("2 idle threads of 1") { $0.idleThreads = 2 },
    Row<Ready>("-1 idle threads of 1") { $0.idleThreads = -1 },
    Row<Ready>("9 leases held") { $0.held = (0..<9).map { LeaseID($0) } },
  ])
  func readies(row: Row<Ready>) throws {
    var script = Script()
    try script.say(Script.hello(), 1)
    var ready = Ready(idleThreads: 1, held: [])
    row.spoil(&ready)
    try script.say(.ready(ready), 1)
    expectRefusal(script, says: row.says)
    #expect(script.leases(to: 1).isEmpty)
  }

  @Test(arguments: [
    Row<Finished>("another step or other slices") { $0.step += 1 },
    Row<Finished>("another step or other slices") { $0.slices.first += 1 },
    Row<Finished>("another step or other slices") { $0.slices.count += 1 },
    Row<Finished>("0 losses for 1 slices") { $0.losses = [] },
    Row<Finished>("2 losses for 1 slices") { $0.losses += $0.losses },
    Row<Finished>("a payload of 109 floats, not 110") { $0.payloadCount -= 1 },
    Row<Finished>("a payload of 111 floats, not 110") { $0.payloadCount += 1 },
    Row<Finished>("1 bytes of chosen slots") { $0.chosen.removeLast() },
    Row<Finished>("3 bytes of chosen slots") { $0.chosen.append(0) },
    Row<Finished>("2 bytes of chosen slots, not a bit for each of 12") { $0.chosen[1] |= 0x10 },
    Row<Finished>("undecodable picture 1000 of 1000") { $0.undecodable = [Self.stray] },
    Row<Finished>("undecodable picture 5, which slice 0 of step 0 cannot have met") {
      $0.undecodable = [UndecodablePicture(picture: 5, reason: "")]
    },
  ])
  func results(row: Row<Finished>) throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    var result = Script.result(of: lease)
    row.spoil(&result)
    try script.say(.finished(result), 1)
    expectRefusal(script, says: row.says)
    #expect(script.status.acceptedSlices == 0 && !script.effects.grants(lease, to: 1))
    #expect(script.effects.cancels(lease, of: 1))
  }

  @Test func resultsOfAnotherOrOfTwoMinds() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    try script.join(2)
    try script.say(.finished(Script.result(of: lease)), 2)
    expectRefusal(script, says: "which is another worker's")
    try script.say(.finished(Script.result(of: lease)), 1)
    try script.say(.finished(Script.result(of: lease, loss: 2)), 1)
    #expect(script.refusals.first?.text.contains("two different results for lease") == true)
    #expect(script.status.acceptedSlices == 0)
  }

  @Test func leasesGivenBackWithPicturesThatAreNotThere() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    try script.say(.returned(Returned(lease: lease.lease, reason: "none decodes", undecodable: [Self.stray])), 1)
    expectRefusal(script, says: "undecodable picture 1000 of 1000")
  }
}
