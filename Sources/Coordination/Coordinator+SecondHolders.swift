import Messages
import Numerics
import Slices

/// Second holders: workers that announced the same gradient as one whose result counts, and so have it too.
///
/// They come of leases that are given twice, as audits and hedges are. A worker gives what it announced until its lease is
/// cancelled; so for a second holder nothing is granted, pushed or said: its lease is not cancelled. Reducers are told of
/// all holders, and where the first is lost the next one takes its place, with nothing computed again. A spare gradient goes
/// the moment its room is needed for one that counts.
extension Coordinator {
  /// Lets a copy of an accepted lease stay with its worker, which has just the gradient that another keeps.
  /// - Returns: false, and the copy is as before, where it has not, or has no room.
  mutating func keepSpare(_ id: LeaseID, of accepted: OpenLease, _ finished: Finished) -> Bool {
    let node = accepted.slices
    guard accepted.keepsGradient, let index = leases.index(of: id), leases[index].slices == node,
      !leases[index].isGranted, let copy = leases[index].finished, let gradient = copy.gradient,
      gradient.hash == finished.gradient?.hash,
      current.spares[node, default: []].count + 1 < WireLimits.gradientHolders,
      let peer = peers[leases[index].peer], mayKeep(peer), peer.host != peers[accepted.peer]?.host,
      peer.kept.count + peer.spares.count < peer.gradientRoom
    else { return false }
    removeLease(at: index)
    current.spares[node, default: []].append(KeptGradient(lease: id, peer: peer.id, finished: copy))
    peers[peer.id]?.spares[id] = node
    return true
  }

  /// Cancels spare gradients that take the room of those that count, the oldest first.
  mutating func makeRoomForGradients(at peer: PeerID, _ effects: inout [Effect]) {
    while let keeper = peers[peer], keeper.kept.count + keeper.spares.count > keeper.gradientRoom,
      let oldest = keeper.spares.keys.min()
    { dropSpare(oldest, of: peer, &effects) }
  }

  mutating func dropSpare(_ lease: LeaseID, of peer: PeerID, _ effects: inout [Effect]) {
    guard let node = peers[peer]?.spares.removeValue(forKey: lease) else { return }
    current.spares[node]?.removeAll { $0.lease == lease }
    if current.spares[node]?.isEmpty == true { current.spares[node] = nil }
    effects.append(.send(.cancel(lease), to: peer))
  }

  mutating func dropSpares(of peer: PeerID, _ effects: inout [Effect]) {
    for lease in (peers[peer]?.spares.keys).map({ $0.sorted() }) ?? [] { dropSpare(lease, of: peer, &effects) }
  }

  mutating func dropSpares(of node: SliceRange, _ effects: inout [Effect]) {
    for spare in current.spares[node] ?? [] { dropSpare(spare.lease, of: spare.peer, &effects) }
  }

  /// The first holder of a node is gone: the next one that was heard lately takes its place. Reducers know it already.
  /// - Returns: false if there is none.
  mutating func promoteSpare(of node: SliceRange) -> Bool {
    let spares = current.spares[node] ?? []
    guard
      let place = spares.firstIndex(where: { spare in
        peers[spare.peer].map { isPresent($0) && now - $0.heard < CoordinationLimits.keeperSilence } ?? false
      })
    else { return false }
    let spare = spares[place]
    current.spares[node]?.remove(at: place)
    if spares.count == 1 { current.spares[node] = nil }
    peers[spare.peer]?.spares[spare.lease] = nil
    current.kept[node] = spare
    peers[spare.peer]?.kept[spare.lease] = node
    counts.savedGradients += 1
    return true
  }
}
