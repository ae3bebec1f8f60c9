/// Stochastic depth: which images skip which residual branches.

/// One draw per image and residual branch: 0 where the branch is dropped, else what its result is multiplied with.
///
/// Branch 2b is block b's attention, branch 2b + 1 its MLP.
public struct DropPathDraw: Sendable {
  public let images: Int
  /// `[branches, images]`.
  private var scales: [Float]

  /// - Parameter drops: whether `image`'s `branch` is dropped, true with `probability`. Asked in order of branch, then
  ///   image; not asked where the probability is 0.
  public init(
    _ architecture: NetworkArchitecture, images: Int,
    drops: (_ image: Int, _ branch: Int, _ probability: Float) -> Bool
  ) {
    self.images = images
    scales = Array(repeating: 1, count: 2 * architecture.depth * images)
    for branch in 0..<2 * architecture.depth {
      let rate = architecture.dropPathRate(block: branch / 2)
      if rate == 0 { continue }
      for image in 0..<images {
        scales[branch * images + image] = drops(image, branch, rate) ? 0 : 1 / (1 - rate)
      }
    }
  }

  static func index(_ branch: ResidualBranch, ofBlock block: Int) -> Int {
    ResidualBranch.allCases.count * block + branch.rawValue
  }

  func scale(_ branch: ResidualBranch, ofBlock block: Int, image: Int) -> Float {
    scales[Self.index(branch, ofBlock: block) * images + image]
  }
}
