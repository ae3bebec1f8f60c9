import MemoryBank
import Threads

/// Reads a shard's extents through, one after the other, for ever and slowly: damage is found while replicas are whole.
final class ExtentScrub: Sendable {
  /// Rests so many times as long as it read: a disk is busy with it a fiftieth of the time.
  private static let restFactor = 50
  private static let shortestRest = Duration.seconds(1)

  private let stopping = BoundedQueue<Bool>(capacity: 1)
  private let ended = BoundedQueue<Bool>(capacity: 1)

  /// - Parameters:
  ///   - store: what there is to read, if anything.
  ///   - report: called when damage was found; the store knows where.
  init(_ store: @escaping @Sendable () -> ExtentStore?, report: @escaping @Sendable () -> Void) {
    startThread(named: "massl-scrub") { [self] in
      var last = -1
      var rest = Self.shortestRest
      while case .nothing = stopping.next(within: rest) {
        rest = Self.shortestRest
        guard let store = store() else { continue }
        let extents = store.held.keys.sorted()
        guard let extent = extents.first(where: { $0 > last }) ?? extents.first else { continue }
        last = extent
        let start = ContinuousClock.now
        // One that was removed meanwhile is no damage; a disk that does not answer shows in serving.
        if (try? store.verify(extent)) == false { report() }
        rest = max(Self.shortestRest, (ContinuousClock.now - start) * Self.restFactor)
      }
      ended.close()
    }
  }

  func stop() {
    stopping.close()
    _ = ended.next()
  }
}
