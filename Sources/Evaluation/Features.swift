import Networks
import Numerics
import Vision

/// Frozen features of pictures: the backbone's output, before the head.
public enum Features {
  /// What a picture is turned into.
  public enum Source {
    /// A network's parameters, laid out by the architecture's `ParameterLayout`.
    case network(NetworkArchitecture, FloatBuffer)
    /// The pixels themselves, at this side.
    case pixels(side: Int)
  }

  /// Images that pass the network together.
  static let batch = 64

  /// - Parameters:
  ///   - pictures: indices in the data set.
  ///   - normalization: the one that the network was trained with.
  /// - Returns: `[pictures, width]`, in the order of `pictures`.
  /// - Throws: `VisionError` if a picture cannot be read or decoded, naming it.
  public static func extract(
    _ source: Source, of pictures: [Int], in dataSet: DataSet, _ normalization: Normalization
  ) throws -> Matrix {
    switch source {
    case .pixels(let side):
      let rows = FloatBuffer(count: pictures.count * 3 * side * side)
        .matrix(rows: pictures.count, columns: 3 * side * side)
      try read(pictures, from: dataSet, side: side, normalization, into: rows)
      return rows
    case .network(let architecture, let parameters):
      let side = architecture.imageSize
      let backbone = Backbone(architecture)
      let workspace = try BackboneWorkspace(
        architecture, maximumImages: batch, side: side, keepsActivations: false)
      let pixels = FloatBuffer(count: batch * 3 * side * side).matrix(rows: batch, columns: 3 * side * side)
      let features = FloatBuffer(count: pictures.count * architecture.embedDim)
        .matrix(rows: pictures.count, columns: architecture.embedDim)
      for start in stride(from: 0, to: pictures.count, by: batch) {
        let range = start..<min(start + batch, pictures.count)
        let rows = pixels.rows(0..<range.count)
        try read(Array(pictures[range]), from: dataSet, side: side, normalization, into: rows)
        backbone.forward(rows, parameters: parameters, workspace: workspace, into: features.rows(range))
      }
      return features
    }
  }

  /// The largest square in the middle, resized to `side` and normalised.
  private static func read(
    _ pictures: [Int], from dataSet: DataSet, side: Int, _ normalization: Normalization, into rows: Matrix
  ) throws {
    var resampler = Resampler()
    for (row, index) in pictures.enumerated() {
      let picture: Picture
      do {
        picture = try Picture(jpeg: dataSet.read(index))
      } catch VisionError.undecodable(let reason) {
        throw VisionError.unreadable(path: dataSet.path(index), reason: "it is no JPEG picture that decodes: \(reason)")
      }
      let square = min(picture.width, picture.height)
      let region = Region(
        top: (picture.height - square) / 2, left: (picture.width - square) / 2, height: square, width: square)
      normalization.write(resampler.resize(region, of: picture, to: side), into: rows.row(at: row))
    }
  }
}
