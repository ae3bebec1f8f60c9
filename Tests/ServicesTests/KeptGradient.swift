import Messages
import Numerics
import Services
import Slices
import TestSupport
import Wire

/// A node's gradient that somebody keeps, of made-up numbers whose sums depend on the order in which they are added.
struct KeptGradient: Sendable {
  let slices: SliceRange
  let floats: FloatBuffer
  let hashes: [ContentHash]

  init(of slices: SliceRange, count: Int, seed: UInt64 = 1, setting changes: [Int: Float] = [:]) {
    self.slices = slices
    var random = RandomFloats(seed: SplitMix64.mixed(seed &* 1000 &+ UInt64(slices.first)))
    floats = random.buffer(count: count)
    for (index, value) in changes { floats.vector[index] = value }
    hashes = floats.contentHashes(ofChunks: WireLimits.gradientChunkFloats)
  }

  /// - Parameter holders: whom to ask for it; the coordinator has it where there are none.
  func named(_ holders: ScriptedCoordinator...) -> Reduction.Gradient {
    Reduction.Gradient(
      slices: slices, hash: holders.isEmpty ? nil : ContentHash(of: hashes),
      holders: holders.map { BulkAddress(endpoint: $0.bulkEndpoint) })
  }

  /// What it answers who asks for it; nil to what is about something else.
  func answer(_ request: BulkRequest) -> (BulkReply, Bulk?)? {
    switch request {
    case .gradientHashes(let step, slices):
      return (.gradientHashes(step: step, slices: slices), .bytes(hashes.flatMap(\.bytes)))
    case .gradient(let name) where name.slices == slices:
      return (.gradient(name), .floats(floats, GradientChunk.floats(of: name.chunk, in: floats.count)))
    default: return nil
    }
  }

  /// What a sum of these has to be: whole gradients, added along the tree.
  static func sum(of gradients: [KeptGradient], in tree: SliceTree) -> FloatBuffer {
    var sum = TreeSum<FloatBuffer>(tree: tree)
    for gradient in gradients {
      let copied = FloatBuffer(count: gradient.floats.count)
      copy(gradient.floats.vector, into: copied.vector)
      sum.insert(copied, at: gradient.slices) { left, right in
        addScaled(right.vector, by: 1, to: left.vector)
        return left
      }
    }
    guard let total = sum.total else { fatalError("these are not all slices of the tree") }
    return total
  }
}
