// What the tests look at: small files of pictures with the pixels that Pillow makes of them, and folders that go away.

import Foundation
import Vision

enum Fixture {
  static let names = ["baseline", "progressive", "full-chroma", "grey", "cmyk", "ycck"]
  /// Of all of them, in pixels.
  static let (width, height) = (26, 19)

  static func jpeg(_ name: String) throws -> [UInt8] { try bytes("\(name).jpg") }
  static func pixels(_ name: String) throws -> [UInt8] { try bytes("\(name).rgb") }
  static func picture() throws -> Picture {
    Picture(width: width, height: height, pixels: try pixels("baseline"))
  }

  static func bytes(_ name: String) throws -> [UInt8] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")
    return [UInt8](try Data(contentsOf: folder.appendingPathComponent(name)))
  }
}

/// Lends a new folder and removes it afterwards.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("vision-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}

/// Writes a file, and the folders that it needs.
func put(_ bytes: [UInt8], _ path: String) throws {
  let url = URL(fileURLWithPath: path)
  try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
  try Data(bytes).write(to: url)
}

/// The mean and the largest absolute difference, in levels.
func difference(_ left: [UInt8], _ right: [UInt8]) -> (mean: Double, largest: Int) {
  let differences = zip(left, right).map { abs(Int($0) - Int($1)) }
  return (Double(differences.reduce(0, +)) / Double(differences.count), differences.max() ?? 0)
}
