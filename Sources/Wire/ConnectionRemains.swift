/// Whether what ended connections left on a socket is too much.
///
/// Nobody counts it: a connection that came, sent and went between two looks never had a count. It shows only in the
/// memory of the whole process. Once it is too much it is so until all of it is gone, and not until memory is below the
/// bound: what is below it is some million messages, each read for nothing, and in turn with those of who is there.
package struct ConnectionRemains {
  /// Longer than what those who are there send at once takes to be read.
  private static let longBehind = Duration.seconds(2)

  /// What the heap may grow by while the socket is behind, in bytes; and while it is so for long.
  private let growthAtMost: Int
  private let longGrowthAtMost: Int
  /// When the socket was first seen to be behind, and the bytes of the heap in use then, or later, whatever was least; nil
  /// while it is not behind.
  private var before: (since: ContinuousClock.Instant, heap: Int)?
  /// Whether any was thrown away since the last look.
  private var isLeft = false
  package private(set) var areTooMuch = false

  /// - Parameter backlogAtMost: what may wait of standing connections, in bytes. Four times of it, for other threads take
  ///   some of the heap.
  package init(backlogAtMost: Int) {
    growthAtMost = 4 * backlogAtMost
    longGrowthAtMost = backlogAtMost / 2
  }

  /// A message of an ended connection was thrown away.
  package mutating func threwAway() { isLeft = true }

  /// The socket was seen without messages.
  package mutating func wereEmptied() { (before, areTooMuch, isLeft) = (nil, false, false) }

  /// The socket had messages all the time since the last look.
  /// - Parameters:
  ///   - heap: bytes of it in use.
  ///   - areAllAsked: whether each connection that had a message gave one since the last look.
  package mutating func look(heap: Int, areAllAsked: Bool, at now: ContinuousClock.Instant) {
    defer { isLeft = false }
    if areTooMuch {
      guard areAllAsked, !isLeft else { return }
      // None was met where any would have been: what else the heap has grown by is somebody else's.
      (areTooMuch, before) = (false, nil)
    }
    let least = min(before?.heap ?? heap, heap)
    let since = before?.since ?? now
    before = (since, least)
    areTooMuch = heap - least > (now - since < Self.longBehind ? growthAtMost : longGrowthAtMost)
  }
}
