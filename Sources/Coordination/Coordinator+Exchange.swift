import Messages
import Numerics

/// What workers may fetch from each other, and add up.
public struct Exchange: Sendable {
  /// Each chunk of the version's student has its hash.
  var isHashed = false
  /// The next version's is to have them.
  var isHashing = false
  /// How often chunks of gradients were dealt to be added up.
  var deals: UInt64 = 0
  /// A step had to begin again for want of room; none is reduced before this.
  var reducesNotBefore: Instant?
  /// Workers of the newest deal; 0 after a step without one.
  var reducers = 0
}

// MARK: - Whether it is worth it

extension Exchange {
  /// Seconds that it takes to hash a byte: BLAKE2b on one thread.
  public static let secondsAByteHashed = 1e-9

  /// Whether fetching weights from `sources` is faster than all of it from the coordinator, whose link is the narrowest.
  ///
  /// The coordinator's link then carries the weights once, not once a worker; what a source sends on is `1 / sources` of
  /// what all others need. Each byte is hashed twice, by the coordinator and by whoever takes it.
  /// - Parameters:
  ///   - crossing: how long a parameter buffer takes over a link; nil while that is not known.
  ///   - bytes: of the weights.
  public static func pays(workers: Int, sources: Int, crossing: Duration?, bytes: Int) -> Bool {
    guard sources >= 2, let crossing else { return false }
    let seconds = crossing / .seconds(1)
    let fromEachOther = seconds * (1 + Double(workers - 1) / Double(sources))
    return Double(workers) * seconds > fromEachOther + 2 * Double(bytes) * secondsAByteHashed
  }
}

// MARK: - Who is reached

extension Coordinator {
  /// Asks at the addresses of workers that have delivered something, once there are two hosts of them: who only said hello
  /// might name any address.
  mutating func probeWorkers(_ effects: inout [Effect]) {
    guard settings.exchanges != false else { return }
    // Field by field, and the hosts last: this is looked at after every event.
    let due = peers.indices.filter {
      peers[$0].reach.isDue(at: now) && peers[$0].delivery.hasSucceeded && peers[$0].isPresent(at: now)
    }
    guard !due.isEmpty, hasTwoHosts else { return }
    for place in due {
      if let address = peers[place].reach.probe(at: now) { effects.append(.probe(address)) }
    }
  }

  private var hasTwoHosts: Bool {
    guard let first = peers.first?.host else { return false }
    return peers.contains { $0.host != first }
  }

  /// Whose address it is, the shards and workers that give it out say.
  mutating func probed(_ address: BulkAddress, failure: String?, _ effects: inout [Effect]) {
    let time = now
    board?.probed(address, failure: failure, at: time, &effects)
    for place in peers.indices {
      guard
        case .notReached(isSaid: false) = peers[place].reach.probed(address, hasAnswered: failure == nil, at: now)
      else { continue }
      log(
        .warning, .deliveries, about: peers[place].id,
        "\(described(peers[place].id)) cannot be reached at \(address.endpoint): \(failure ?? ""). It fetches weights "
          + "from other workers, and gives none: give 'massl worker' a --listen or an --advertise that the coordinator "
          + "and other workers reach, and with keys an --allowed-keys that has theirs.", &effects)
    }
  }
}

// MARK: - From whom

extension Coordinator {
  /// Whether leases of the step send workers to each other.
  var isExchangingWeights: Bool { current.weightSources ?? 0 > 0 }

  /// Says who gives the step's student to the others, before the first leases that send workers to them: those that have
  /// leases, for whoever has none fetches nothing. Where these are too few yet the next leases of the step decide; who had
  /// one before has the student from the coordinator, and gives it too.
  /// - Parameter first: where the newest leases begin among the effects.
  mutating func nameWeightSources(from first: Int, _ effects: inout [Effect]) {
    let leased = peers.indices.filter { !peers[$0].leases.isEmpty }
    guard !leased.isEmpty, first < effects.count else { return }
    let pays = paysToExchange(with: weightSources(among: Array(peers.indices)).count)
    if exchange.isHashing != pays {
      exchange.isHashing = pays
      effects.append(.hashWeights(pays))
    }
    let sources = weightSources(among: leased)
    guard pays, exchange.isHashed else { return current.weightSources = 0 }
    guard sources.count >= 2 else { return }
    current.weightSources = sources.count
    for index in first..<effects.count {
      guard case .send(.lease(var lease), let peer) = effects[index] else { continue }
      lease.exchangesWeights = true
      effects[index] = .send(.lease(lease), to: peer)
    }
    effects.insert(.nameWeightSources(sources.compactMap { peers[$0].reach.address }, step: step), at: first)
  }

  /// Whether weights, or gradients, had better go among the workers.
  func paysToExchange(with sources: Int) -> Bool {
    switch settings.exchanges {
    case false?: false
    case true?: sources >= 2
    case nil:
      Exchange.pays(
        workers: peers.count { isPresent($0) && $0.delivery.hasSucceeded }, sources: sources,
        crossing: leases.usualDelivery, bytes: settings.shape.gradientCount * MemoryLayout<Float>.stride)
    }
  }

  /// Of each host the first that was reached and delivers what it announces: workers of one host share its link.
  func weightSources(among places: [Int]) -> [Int] {
    var hosts: Set<String> = []
    let sources = places.filter { place in
      let peer = peers[place]
      return isPresent(peer) && peer.reach.isReached && peer.delivery.hasSucceeded && !peer.delivery.isOnProbation
        && hosts.insert(peer.host).inserted
    }
    return Array(sources.prefix(CoordinationLimits.weightSources))
  }
}
