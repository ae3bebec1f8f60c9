import Evaluation
import Foundation
import Vision

/// A folder of small pictures, a folder a class, removed at the end.
final class PictureFolder {
  let root = FileManager.default.temporaryDirectory.appendingPathComponent("massl-pictures-\(UUID())").path

  deinit { try? FileManager.default.removeItem(atPath: root) }

  func put(_ path: String, _ bytes: [UInt8]) throws {
    let url = URL(fileURLWithPath: "\(root)/\(path)")
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: url)
  }

  /// A picture of 16 pixels a side whose levels rise and fall around `base`, by the seed.
  func putPicture(_ path: String, base: Int, seed: Int) throws {
    var state = UInt64(seed + 1)
    let pixels = (0..<16 * 16 * 3).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(min(255, max(0, base + Int(state >> 60) - 8)))
    }
    try put(path, Picture(width: 16, height: 16, pixels: pixels).jpeg())
  }
}
