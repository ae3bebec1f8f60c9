import Numerics

/// How well features do, as far as a small sample of pictures tells.
public struct FeatureDiagnostics: Equatable, Sendable {
  /// Pictures of the sample that could be used.
  public var pictures: Int
  public var rankMe: Double
  public var lidar: Double
  public var alphaReQ: Double
  /// Of leave-one-out k-NN: pictures that got their own class, and pictures that were asked: those with a class.
  public var right: Int
  public var asked: Int

  /// Neighbours that vote.
  public static let neighbors = 20

  public init(pictures: Int, rankMe: Double, lidar: Double, alphaReQ: Double, right: Int, asked: Int) {
    (self.pictures, self.rankMe, self.lidar, self.alphaReQ) = (pictures, rankMe, lidar, alphaReQ)
    (self.right, self.asked) = (right, asked)
  }

  /// - Parameters:
  ///   - features: `[n, width]`, of whole pictures, as the network gives them.
  ///   - classes: one a row of `features`, from 0; nil for a picture without one.
  ///   - viewFeatures: `[m · views, width]`, of augmented views, picture by picture.
  /// - Throws: `DiagnosticsError.notFinite`.
  init(_ features: Matrix, classes: [Int?], viewFeatures: Matrix, views: Int) throws(DiagnosticsError) {
    guard let rank = Evaluation.rankMe(features), let alpha = Evaluation.alphaReQ(features),
      let lidar = Evaluation.lidar(viewFeatures, views: views)
    else { throw .notFinite }
    (pictures, rankMe, alphaReQ, self.lidar) = (features.rows, rank, alpha, lidar)
    let unit = FloatBuffer(count: features.rows * features.columns).matrix(
      rows: features.rows, columns: features.columns)
    normalizeRows(features, floor: shortestRow, into: unit)
    (right, asked) = leaveOneOut(unit, classes: classes, neighbors: Self.neighbors)
  }
}

/// Why a sample's features cannot be judged.
public enum DiagnosticsError: Error, Equatable, CustomStringConvertible {
  /// Of so many pictures.
  case tooFewPictures(usable: Int, of: Int)
  case notFinite

  public var description: String {
    switch self {
    case .tooFewPictures(let usable, let count):
      "\(usable) of the sample's \(count) pictures can be read and decoded, which says nothing"
    case .notFinite: "the teacher's features are not finite (NaN or infinity)"
    }
  }
}
