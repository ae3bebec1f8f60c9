import Wire

/// The workers that were welcomed, in the order of joining: the order in which they are served.
struct PeerTable: RandomAccessCollection, Sendable {
  private(set) var inOrder: [Peer] = []
  private var places: [PeerID: Int] = [:]

  var startIndex: Int { 0 }
  var endIndex: Int { inOrder.count }

  /// The worker at a place; places hold until one is forgotten.
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
      case (let place?, let peer?): inOrder[place] = peer
      case (nil, let peer?):
        places[id] = inOrder.count
        inOrder.append(peer)
      case (let place?, nil):
        places[id] = nil
        inOrder.remove(at: place)
        for later in place..<inOrder.count { places[inOrder[later].id] = later }
      case (nil, nil): break
      }
    }
  }

  func place(of id: PeerID) -> Int? { places[id] }
}
