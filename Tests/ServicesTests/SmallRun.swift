import Configuration
import Coordination
import Foundation
import Messages
import Numerics
import Services
import Synchronization
import TestSupport
import Testing
import Threads
import Training
import Vision
import Wire

/// A folder with pictures in `data` and a run in `run`, removed at the end; what a test sets is what it is about.
final class SmallRun: Sendable {
  static let probe = Digest(high: 1, low: 2)

  let folder: String

  /// - Parameter broken: pictures, by index, that are text files named .jpg.
  init(pictures: Int = 12, broken: Set<Int> = []) throws {
    folder = NSTemporaryDirectory() + "massl-services-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder + "/data", withIntermediateDirectories: true)
    for index in 0..<pictures {
      let pixels = (0..<16 * 16 * 3).map { UInt8(truncatingIfNeeded: $0 * (index + 3) + index * 20) }
      let bytes =
        broken.contains(index)
        ? Array("This is text, number \(index).".utf8) : Picture(width: 16, height: 16, pixels: pixels).jpeg()
      try write(bytes, to: index)
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  var data: String { folder + "/data" }

  func path(_ index: Int) -> String { String(format: "%@/%04d.jpg", data, index) }

  func write(_ bytes: [UInt8], to index: Int) throws { try Data(bytes).write(to: URL(fileURLWithPath: path(index))) }

  /// - Parameter keys: lines of a recipe that replace or follow the usual ones.
  static func layer(_ keys: [String: String] = [:]) throws -> ConfigurationLayer {
    var recipe = [
      "arch": "custom", "embed_dim": "32", "depth": "1", "num_heads": "2", "patch_size": "8", "image_size": "16",
      "local_size": "8", "local_crops_number": "1", "head_hidden_dim": "32", "bottleneck_dim": "16", "batch_size": "6",
      "slice_size": "2", "epochs": "40", "memory_size": "16", "block_size": "8", "use_bn_in_head": "true",
      // Its workers make results up.
      "audit_rate": "0",
    ]
    recipe.merge(keys) { $1 }
    let text = recipe.map { "\($0): \($1)" }.sorted().joined(separator: "\n")
    return try ConfigurationLayer(recipe: text, file: "recipe")
  }

  func options(_ keys: [String: String] = [:]) throws -> CoordinatorOptions {
    CoordinatorOptions(
      data: data, run: folder + "/run", layers: [try Self.layer(keys)], computeClass: .avx2,
      listen: try Endpoint("tcp://127.0.0.1:0"),
      security: .none(.loopback), probe: Self.probe)
  }

  /// A service, once the one before has let go of its port.
  static func opened(_ options: CoordinatorOptions, log: @escaping ServiceLog = { _, _ in }) throws
    -> CoordinatorService
  {
    try oncePortIsFree { try CoordinatorService(options, log: log) }
  }

  /// Student's, teacher's and memory's, of a checkpoint.
  func digests(step: Int) throws -> [String] {
    let path = String(format: "%@/run/checkpoints/step-%08d/manifest.json", folder, step)
    let object = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path)))
    let manifest = try #require(object as? [String: Any])
    return try ["student", "teacher", "memory"].map { try #require(manifest[$0] as? String) }
  }
}

/// What opens a socket, once a service of this process that had its port has let go of it: its last thread does so a moment
/// after `run`.
func oncePortIsFree<Opened>(_ open: () throws -> Opened) throws -> Opened {
  var opened: Opened?
  let isFree = try eventually(within: 20) {
    do { opened = try open() } catch WireError.addressInUse { return false }
    return true
  }
  try #require(isFree, "the port of the service before was not let go of")
  return try #require(opened)
}

extension BoundedQueue {
  /// What a thread of a test hands over at its end, or nil where it has nothing to hand over and closes the queue.
  /// - Throws: `StillWorking`: a test that waits for ever says nothing.
  func handedOver(within seconds: Int = 50) throws -> Element? {
    switch next(within: .seconds(seconds)) {
    case .element(let element): return element
    case .closed: return nil
    case .nothing: throw StillWorking(seconds: seconds)
    }
  }
}

/// A thread that should have ended.
struct StillWorking: Error { let seconds: Int }

/// Lines of a log, from any thread.
final class LogBook: Sendable {
  private let state = Mutex<[String]>([])
  var lines: [String] { state.withLock { $0 } }
  var log: ServiceLog { { [self] _, text in state.withLock { $0.append(text) } } }

  /// Waits until a line contains `text`.
  func waits(for text: String, seconds: Int = 20) -> Bool {
    eventually(within: Double(seconds)) { lines.contains { $0.contains(text) } }
  }
}
