import Foundation
import TestSupport
import Testing

/// Tests/BrokenProcessor, which a worker is started with: massl itself has nothing in it that computes wrongly.
enum BrokenProcessor {
  private static let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("BrokenProcessor/broken-processor.c").path

  /// Of the products that it counts: each slice of `Workshop.recipe` has views of two sizes.
  private static let productsASlice = 2

  /// What becomes a worker of which one bit of the gradient of every so many slices is wrong.
  /// - Parameter folder: where it is built.
  static func through(wrongEverySlices count: Int, in folder: String) throws -> [String] {
    let library = folder + "/broken-processor.so"
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/bin/sh")
    // Swift's own, which builds massl's C: in PATH, or beside the swift that is.
    let script = """
      clang=$(command -v clang || echo "$(dirname "$(readlink -f "$(command -v swift)")")/clang")
      exec "$clang" -shared -fPIC -O2 -Wall -Wextra -Werror -o "$1" "$0" -ldl
      """
    compiler.arguments = ["-c", script, source, library]
    try compiler.run()
    try #require(compiler.exit() == 0, "\(source) cannot be built")
    return ["/usr/bin/env", "LD_PRELOAD=\(library)", "BROKEN_PROCESSOR_EVERY=\(count * productsASlice)"]
  }
}
