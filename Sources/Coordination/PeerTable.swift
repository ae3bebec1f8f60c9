import Messages

/// The workers that were welcomed, in the order of joining: the order in which they are served.
struct PeerTable: RandomAccessCollection, Sendable {
  private(set) var inOrder: [Peer] = []
  private var places: [PeerID: Int] = [:]
  private var countOfHost: [String: Int] = [:]

  var startIndex: Int { 0 }
  var endIndex: Int { inOrder.count }

  /// The worker at a place; places hold until one is forgotten. Its host does not change.
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
        leave(inOrder[place].host)
        countOfHost[peer.host, default: 0] += 1
        inOrder[place] = peer
      case (nil, let peer?):
        places[id] = inOrder.count
        inOrder.append(peer)
        countOfHost[peer.host, default: 0] += 1
      case (let place?, nil):
        places[id] = nil
        leave(inOrder.remove(at: place).host)
        for later in place..<inOrder.count { places[inOrder[later].id] = later }
      case (nil, nil): break
      }
    }
  }

  func place(of id: PeerID) -> Int? { places[id] }

  /// Workers of a host.
  func count(onHost host: String) -> Int { countOfHost[host] ?? 0 }

  private mutating func leave(_ host: String) {
    let left = count(onHost: host) - 1
    countOfHost[host] = left > 0 ? left : nil
  }
}
