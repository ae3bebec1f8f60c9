import Messages

/// Which key each peer's id belongs to: that of its first message, so that no other worker can speak under it.
///
/// Ids are random and told to nobody, so nobody can use one before its owner does. What it holds is bounded: a key that
/// uses more than `idsPerKey` ids loses its oldest, and can cost no other key any.
package struct PeerKeys: Sendable {
  /// A worker has a new id at each start, and workers may share a key.
  package static let idsPerKey = 4096
  private var keys: [PeerID: PublicKey] = [:]
  /// In the order of their first messages.
  private var ids: [PublicKey: [PeerID]] = [:]

  package init() {}

  /// Whether `key` may speak for `peer`; the first that asks may from then on.
  package mutating func claim(_ peer: PeerID, with key: PublicKey) -> Bool {
    if let owner = keys[peer] { return owner == key }
    if ids[key, default: []].count >= Self.idsPerKey, let oldest = ids[key]?.removeFirst() { keys[oldest] = nil }
    keys[peer] = key
    ids[key, default: []].append(peer)
    return true
  }

  package func isOwned(_ peer: PeerID, by key: PublicKey) -> Bool { keys[peer] == key }

  package var count: Int { keys.count }
}
