import Foundation
import Launching
import Numerics
import Services
import Synchronization

/// This program, as it is given to other machines: with the libraries that come from no package of theirs.
final class OwnProgram: Sendable {
  /// Names what is in the program's file.
  let content: String
  let machine: String
  private let path: String
  private let scratch: ScratchFolder
  /// Once it was asked for.
  private let packed = Mutex<String?>(nil)

  init() throws {
    scratch = try ScratchFolder()
    path = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
    let hash = bytes.withUnsafeBytes { ContentHash(of: $0) }
    content = hash.bytes.map { String(format: "%02x", $0) }.joined()
    machine = LocalCommand.run("uname", ["-m"]).output
  }

  /// Makes a tar file, compressed, of the program and of the libraries that lie where no package puts any: Swift's own.
  /// They are found beside the program.
  /// - Throws: `RunFailure.failed` if tar does not make it.
  func archive() throws -> String {
    try packed.withLock { packed in
      let file = try packed ?? pack()
      packed = file
      return file
    }
  }

  private func pack() throws -> String {
    let stage = "\(scratch.path)/program"
    try FileManager.default.createDirectory(atPath: stage, withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(atPath: "\(stage)/massl", withDestinationPath: path)
    for library in LibraryPackages.unpackaged(in: LocalCommand.run("ldd", [path]).output) {
      let name = URL(fileURLWithPath: library).lastPathComponent
      try FileManager.default.createSymbolicLink(atPath: "\(stage)/\(name)", withDestinationPath: library)
    }
    let file = "\(scratch.path)/program.tgz"
    let ended = LocalCommand.run("tar", ["-chf", file, "--use-compress-program=gzip -1", "-C", stage, "."])
    guard ended.code == 0 else { throw RunFailure.failed("tar cannot pack massl: \(ended.lastError)") }
    return file
  }
}
