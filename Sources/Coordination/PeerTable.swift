import Messages

/// The workers that were welcomed, in the order of joining: the order in which they are served.
struct PeerTable: RandomAccessCollection, Sendable {
  private(set) var inOrder: [Peer] = []
  private var places: [PeerID: Int] = [:]
  private var countOfOrigin: [Origin: Int] = [:]

  var startIndex: Int { 0 }
  var endIndex: Int { inOrder.count }

  /// The worker at a place; places hold until one is forgotten. Its origin does not change.
  subscript(place: Int) -> Peer {
    _read { yield inOrder[place] }
    _modify { yield &inOrder[place] }
  }

  /// A worker; nil when it is not known. One that is new joins, as the last; one that is set to nil is forgotten, in
  /// O(peers).
  subscript(id: PeerID) -> Peer? {
    get { places[id].map { inOrder[$0] } }
    set {
      switch (places[id], newValue) {
      case (let place?, let peer?):
        leave(inOrder[place].origin)
        countOfOrigin[peer.origin, default: 0] += 1
        inOrder[place] = peer
      case (nil, let peer?):
        places[id] = inOrder.count
        inOrder.append(peer)
        countOfOrigin[peer.origin, default: 0] += 1
      case (let place?, nil):
        places[id] = nil
        leave(inOrder.remove(at: place).origin)
        for later in place..<inOrder.count { places[inOrder[later].id] = later }
      case (nil, nil): break
      }
    }
  }

  func place(of id: PeerID) -> Int? { places[id] }

  /// Workers of an origin.
  func count(from origin: Origin) -> Int { countOfOrigin[origin] ?? 0 }

  private mutating func leave(_ origin: Origin) {
    let left = count(from: origin) - 1
    countOfOrigin[origin] = left > 0 ? left : nil
  }

  /// Who would give its place to one more of `origin`: of the origins that have more places even then the one with the
  /// most, and of its workers that never delivered anything the newest. Nil if there is none.
  /// - Complexity: O(peers).
  func displaced(by origin: Origin) -> PeerID? {
    var (most, displaced) = (count(from: origin) + 2, PeerID?.none)
    for peer in inOrder where !peer.delivery.hasSucceeded {
      let count = count(from: peer.origin)
      if count >= most { (most, displaced) = (count, peer.id) }
    }
    return displaced
  }
}
