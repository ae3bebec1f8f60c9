import Coordination
import Messages
import Testing
import Wire

/// Bounds that only hold together: a line for each relation.
@Suite struct LimitsAgree {
  @Test func aWorkerMayListAllLeasesThatItMayHold() {
    #expect(
      CoordinationLimits.heldLeases(threads: WireLimits.threads, gradients: WireLimits.gradientsKept)
        <= WireLimits.heldLeases)
  }

  @Test func fourSignsOfLifeFitIntoASilenceAndASilenceIntoAnAbsence() {
    #expect(CoordinationLimits.heartbeat * 4 < CoordinationLimits.silence)
    #expect(CoordinationLimits.silence < CoordinationLimits.absence)
    #expect(CoordinationLimits.delivery < CoordinationLimits.silence)
  }

  @Test func whatIsATryOfSomethingIsShorterThanAllOfIt() {
    #expect(CoordinationLimits.stall < CoordinationLimits.pushSilence)
    #expect(CoordinationLimits.accusation <= CoordinationLimits.audit)
    #expect(CoordinationLimits.checkpointRetry * CoordinationLimits.lastCheckpointTries < .seconds(30))
    #expect(CoordinationLimits.movesInFlight <= CoordinationLimits.extentsInFlight)
  }

  @Test func theLongestListOfHeldLeasesFitsIntoAnEnvelope() throws {
    let held = (0..<WireLimits.heldLeases).map { LeaseID(.max - UInt64($0)) }
    let envelope = Envelope(
      sender: Sender(run: RunIdentity(high: 1, low: 2), incarnation: Incarnation(3), peer: PeerID(rawValue: .max)),
      message: .worker(.ready(Ready(idleThreads: 0, held: held))))
    let bytes = envelope.encoded()
    #expect(bytes.count <= WireLimits.envelopeBytes)
    #expect(try Envelope(decoding: bytes) == envelope)
  }
}
