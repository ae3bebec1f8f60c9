import Coordination
import Messages

/// What the coordinator's process has to do with weights that workers fetch from each other.
struct SimulatedExchange {
  /// The next version's student is hashed, and this one's is.
  var isHashing = false
  var isHashed = false
  /// Who answered where it says it is.
  var reached: Set<BulkAddress> = []
  /// Who was named last, and for which step.
  var sources: (step: Int, addresses: [BulkAddress])?
}

/// Who answers at the addresses that are given out, and whether workers are sent to those alone.
extension Simulation {
  mutating func carryOutExchange(_ effect: Effect) {
    switch effect {
    case .probe(let address):
      schedule(.probed(life: coordinator.life, address), in: random.next(below: Self.second))
    case .hashWeights(let isHashing): coordinator.exchange.isHashing = isHashing
    case .nameWeightSources(let addresses, let step): nameSources(addresses, of: step)
    default: fail("\(effect) has nothing to do with addresses")
    }
  }

  /// A worker of every four is behind a firewall.
  private func isReached(_ worker: Int) -> Bool { exchanges || !worker.isMultiple(of: 4) || workers.count < 4 }

  mutating func probe(_ address: BulkAddress) {
    let worker = workers.firstIndex { $0.address == address }
    let isThere = worker.map { workers[$0].process.isUp && isReached($0) } ?? (shard(at: address) != nil)
    if isThere { coordinator.exchange.reached.insert(address) } else { note("failedProbes") }
    let isTaken = isThere || bug == .takesSilenceForAnAnswer && worker != nil
    tell(.probed(address, failure: isTaken ? nil : "no answer"))
  }

  private mutating func nameSources(_ addresses: [BulkAddress], of step: Int) {
    note("exchanges")
    coordinator.exchange.sources = (step, addresses)
    if step != coordinator.version.step { fail("sources of step \(step) in step \(coordinator.version.step)") }
    if !coordinator.exchange.isHashed { fail("weights of step \(step) are fetched from workers without their hashes") }
    if !coordinator.exchange.reached.isSuperset(of: addresses) { fail("a source of step \(step) never answered") }
    let hosts = addresses.compactMap { address in workers.first { $0.address == address }?.host }
    if addresses.count < 2 || Set(hosts).count != addresses.count { fail("sources of step \(step) share a host") }
  }

  mutating func checkSources(of lease: Lease) {
    guard lease.exchangesWeights, coordinator.exchange.sources?.step != lease.step else { return }
    fail("a lease of step \(lease.step) sends its worker to sources that nobody named")
  }
}
