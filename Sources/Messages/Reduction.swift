import Numerics
import Slices

/// Names a lease's gradient, apart from the rest of its payload.
public struct GradientIdentity: Hashable, Sendable {
  /// Of all its floats; with that of the tail it makes the payload's digest.
  public var digest: Digest
  /// Of the hashes of its chunks, so that each can be checked that comes from anybody.
  public var hash: ContentHash

  public init(digest: Digest, hash: ContentHash) {
    self.digest = digest
    self.hash = hash
  }

  /// - Parameter hashes: one a chunk.
  public init(digest: Digest, chunks hashes: [ContentHash]) {
    self.init(digest: digest, hash: ContentHash(of: hashes))
  }
}

/// A chunk of the gradient that somebody keeps: `WireLimits.gradientChunkFloats` floats, the last one fewer.
public struct GradientChunk: Hashable, Sendable {
  public var step: Int
  /// The node whose gradient it is.
  public var slices: SliceRange
  public var chunk: Int

  public init(step: Int, slices: SliceRange, chunk: Int) {
    self.step = step
    self.slices = slices
    self.chunk = chunk
  }

  /// The floats of a chunk, of a gradient of so many.
  public static func floats(of chunk: Int, in count: Int) -> Range<Int> {
    let first = chunk * WireLimits.gradientChunkFloats
    return first..<min(count, first + WireLimits.gradientChunkFloats)
  }

  /// Chunks of a gradient of so many floats.
  public static func count(ofFloats count: Int) -> Int {
    (count + WireLimits.gradientChunkFloats - 1) / WireLimits.gradientChunkFloats
  }
}

/// What a reducer is to do: add up some chunks of a step's gradient over all nodes of its tree that have one, and send each
/// sum to the coordinator.
public struct Reduction: Hashable, Sendable {
  /// The gradient of a node, and who has it.
  public struct Gradient: Hashable, Sendable {
    public var slices: SliceRange
    /// Of the hashes of its chunks; nil where the coordinator has it.
    public var hash: ContentHash?
    /// The best first; empty where the coordinator has it.
    public var holders: [BulkAddress]

    public init(slices: SliceRange, hash: ContentHash?, holders: [BulkAddress]) {
      self.slices = slices
      self.hash = hash
      self.holders = holders
    }
  }

  public var step: Int
  /// Ascends within an incarnation: the newest counts.
  public var number: UInt64
  /// Together all slices of the step, in their order.
  public var gradients: [Gradient]
  /// Ascending.
  public var chunks: [Int]

  public init(step: Int, number: UInt64, gradients: [Gradient], chunks: [Int]) {
    self.step = step
    self.number = number
    self.gradients = gradients
    self.chunks = chunks
  }
}

/// Chunks that a reducer cannot add up.
public struct ReductionFailure: Hashable, Sendable {
  /// Of the `Reduction`.
  public var number: UInt64
  /// Ascending, not empty.
  public var chunks: [Int]
  public var reason: String

  public init(number: UInt64, chunks: [Int], reason: String) {
    self.number = number
    self.chunks = chunks
    self.reason = reason
  }
}
