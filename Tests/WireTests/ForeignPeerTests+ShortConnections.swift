import Foundation
import Glibc
import Messages
import Numerics
import Synchronization
import TestSupport
import Testing
import Threads
import Wire

extension ForeignPeerTests {
  /// Of a router that is read slowly, as by a coordinator that has something to do for each message.
  ///
  /// It needs the machine for itself: connections have to come faster than they are looked at, and beside other tests they
  /// do not. `make test` runs it by itself, with MASSL_ALONE.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["MASSL_ALONE"] != nil))
  func whatShortConnectionsLeftIsThrownAwayToTheLastOfIt() throws {
    // The least messages there are: 8 MiB of memory each time, so that no connection by itself has too much.
    let messages = [UInt8](repeating: 0, count: 256 << 10)
    let isOverrun = Mutex(false)
    let isOver = Mutex(false)
    startThread(named: "short") { [endpoint = router.endpoint] in
      for _ in 0..<200 {
        let raw = try? RawPeer(to: endpoint)
        raw?.shakeHands(routingID: [])
        if isOverrun.withLock({ $0 }) { break }
        raw?.send(messages)
        // Closed with something unread, it would take back what is still on its way.
        _ = raw?.isHungUpOn(within: 10)
      }
      isOver.withLock { $0 = true }
    }
    // Once it was said that it is too much.
    var read = 0
    let deadline = ContinuousClock.now + .patience
    while ContinuousClock.now < deadline {
      let received = try router.receive(timeout: .milliseconds(300))
      if received == nil, isOver.withLock({ $0 }) { break }
      guard case .malformed(_, let error, _)? = received else { continue }
      if isOverrun.withLock({ $0 }) { read += 1 }
      if error == .cutOff(router.endpoint, .overrun) { isOverrun.withLock { $0 = true } }
      usleep(1000)
    }
    #expect(ContinuousClock.now < deadline, "the socket is not emptied")
    #expect(isOverrun.withLock { $0 } && read < 1000, "\(read)")
    #expect(try complaintsBesideTheGoodPeer() == [])
    // Newcomers are let in again.
    let late = try DealerSocket(
      in: context, as: PeerID(rawValue: 2), connectingTo: router.endpoint, for: .control, security: .none(.loopback))
    var random = SplitMix64(seed: 2)
    let status = Envelope(
      sender: someSender(&random, peer: PeerID(rawValue: 2)), message: .worker(.statusRequest))
    // Once the socket is emptied, and that only its reader sees: under load this was not so yet.
    var (isSent, isHeard) = (false, false)
    let last = ContinuousClock.now + .patience
    while !isHeard, ContinuousClock.now < last {
      if !isSent { isSent = try late.send(Outgoing(status), timeout: .milliseconds(50)) == .sent }
      if case .message(let incoming)? = try router.receive(timeout: .milliseconds(50)) {
        isHeard = incoming.peer == PeerID(rawValue: 2)
      }
    }
    #expect(isHeard, "who comes later is not let in")
  }
}
