import Numerics

/// Who has the student's weights of a step, and the rows that are new in its memory, beside the coordinator.
///
/// Weights, then rows, are cut into chunks of `WireLimits.weightChunkFloats` floats, which are dealt to the sources in turn. A
/// source asks the coordinator for its own chunks; everybody asks the sources for all others. So each chunk leaves the
/// coordinator once, however many workers there are.
public struct WeightSources: Hashable, Sendable {
  public var step: Int
  /// Not empty.
  public var sources: [BulkAddress]
  /// One a chunk, with which whatever a source sends is compared: the student's, then those of the new rows, if these are
  /// given too.
  public var hashes: [ContentHash]

  public init(step: Int, sources: [BulkAddress], hashes: [ContentHash]) {
    self.step = step
    self.sources = sources
    self.hashes = hashes
  }

  /// Who asks the coordinator for a chunk, and gives it to the others.
  public func source(ofChunk chunk: Int) -> BulkAddress { sources[chunk % sources.count] }
}
