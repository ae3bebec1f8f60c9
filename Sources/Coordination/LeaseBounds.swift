import Messages
import Slices

/// What a lease of a run may say: a worker takes nothing on trust.
public struct LeaseBounds: Sendable {
  private let steps: Int
  private let pictures: Int
  private let tree: SliceTree
  private let chunks: Int

  /// - Parameters:
  ///   - steps: of the run.
  ///   - tree: of a step's slices.
  ///   - pictures: of the data set.
  ///   - parameters: floats of a gradient.
  public init(steps: Int, tree: SliceTree, pictures: Int, parameters: Int) {
    self.steps = steps
    self.tree = tree
    self.pictures = pictures
    chunks = GradientChunk.count(ofFloats: parameters)
  }

  /// What is wrong with a reduction; nil when nothing is.
  func problem(of reduction: Reduction) -> String? {
    guard (0..<steps).contains(reduction.step) else { return "step \(reduction.step) of a run of \(steps)" }
    guard reduction.chunks.last ?? 0 < chunks else { return "chunk \(reduction.chunks.last ?? 0) of \(chunks)" }
    var next = 0
    for gradient in reduction.gradients {
      guard tree.isNode(gradient.slices), gradient.slices.first == next else {
        return "slices from \(gradient.slices.first) on are no node that follows slice \(next) of \(tree.count)"
      }
      next += gradient.slices.count
    }
    return next == tree.count ? nil : "\(next) slices of \(tree.count)"
  }

  /// What is wrong with an evaluation; nil when nothing is.
  func problem(of evaluate: Evaluate) -> String? {
    guard (0...steps).contains(evaluate.step) else { return "step \(evaluate.step) of a run of \(steps)" }
    let last = evaluate.pictures.last ?? 0
    return last < pictures ? nil : "picture \(last) of \(pictures)"
  }

  /// What is wrong with a lease; nil when nothing is.
  func problem(of lease: Lease) -> String? {
    guard (0..<steps).contains(lease.step) else { return "step \(lease.step) of a run of \(steps)" }
    guard tree.isNode(lease.slices) else {
      return
        "slices \(lease.slices.first) to \(lease.slices.first + lease.slices.count) are no node of \(tree.count)"
    }
    guard (0...lease.rows).contains(lease.memoryFloor) else {
      return "a memory of \(lease.rows) rows with floor \(lease.memoryFloor)"
    }
    guard lease.lost.last ?? 0 < pictures else { return "picture \(lease.lost.last ?? 0) of \(pictures) is lost" }
    return nil
  }
}
