import Coordination
import Messages
import TestSupport

/// The network: lines that lose, double and delay, and processes that are stopped.
extension Simulation {
  /// Sends over a line that loses, doubles and delays.
  mutating func send(_ happening: Happening, after delay: UInt64 = 0, to party: Party?) {
    if let party, self[party].cutTo > time { return }
    transmit(happening, after: delay)
  }

  mutating func send(_ happening: Happening, after delay: UInt64 = 0, from party: Party) {
    if self[party].cutFrom > time { return }
    transmit(happening, after: delay)
  }

  private mutating func transmit(_ happening: Happening, after delay: UInt64) {
    if random.chance(faults.loss) { return note("losses") }
    for _ in 0..<(random.chance(faults.duplication) ? 2 : 1) {
      var flight = delay + 100_000 + random.next(below: 5_000_000)
      if random.chance(faults.lateness) { flight += random.next(below: faults.longestDelay) }
      schedule(happening, in: flight)
    }
  }

  mutating func say(_ message: WorkerMessage, as sender: Sender, _ index: Int) {
    send(.toCoordinator(message, sender), from: .worker(index))
  }

  mutating func hear(_ message: CoordinatorMessage, _ incarnation: Incarnation, _ party: Party) {
    self[party].wasAnswered = true
    switch party {
    case .worker(let index): worker(index, hears: message, of: incarnation)
    case .shard(let index): shard(index, hears: message, of: incarnation)
    }
  }

  /// The process that has this number now. While it is stopped, what came waits in its socket.
  mutating func living(_ peer: PeerID, orLater happening: Happening) -> Party? {
    guard let party = partyOfPeer[peer], self[party].isUp, self[party].peer == peer else { return nil }
    return isStopped(party, happening) ? nil : party
  }

  /// Whether a process still lives this life, and is not stopped: then it does so later.
  mutating func isRunning(_ party: Party, _ life: Int, orLater happening: Happening) -> Bool {
    self[party].life == life && self[party].isUp && !isStopped(party, happening)
  }

  private mutating func isStopped(_ party: Party, _ happening: Happening) -> Bool {
    guard self[party].stoppedUntil > time else { return false }
    queue.add(happening, at: self[party].stoppedUntil)
    return true
  }

  /// Which coordinator a process is connected to: one that outlived its lock keeps those that it has, and may get others.
  mutating func life(heardBy sender: Sender) -> Int {
    guard let outlived else { return coordinator.life }
    let isNew = partyOfPeer[sender.peer].map { self[$0].peer == sender.peer && !self[$0].wasAnswered } ?? true
    if isNew { return random.chance(0.5) ? outlived.life : coordinator.life }
    let isItsOwn = sender.incarnation.number == outlived.disk.incarnation
    return isItsOwn ? outlived.life : coordinator.life
  }

  /// Lets the coordinator of this life act, if it still runs.
  mutating func act(for life: Int, _ happening: Happening, _ body: (inout Simulation) -> Void) {
    let isOutlived = outlived?.life == life
    guard isOutlived || coordinator.life == life else { return }
    if isOutlived { exchangeCoordinators() }
    if coordinator.machine != nil, !isCoordinatorStopped(happening) { body(&self) }
    if isOutlived {
      exchangeCoordinators()
      if outlived?.machine == nil { outlived = nil }
    }
  }

  private mutating func exchangeCoordinators() {
    guard let other = outlived else { return }
    (coordinator, outlived) = (other, coordinator)
  }

  /// The same for the coordinator.
  mutating func isCoordinatorStopped(_ happening: Happening) -> Bool {
    guard coordinator.stoppedUntil > time else { return false }
    queue.add(happening, at: coordinator.stoppedUntil)
    return true
  }
}
