import ArgumentParser
import Durability
import Vision

/// A file that a command writes: one that is there is replaced, whole or not at all.
struct OutputFile {
  let path: String
  private let storage: any Storage = FileStorage()

  /// - Parameters:
  ///   - flag: that names it.
  ///   - ending: what its name has to end in, where that says what is in the file: "png".
  /// - Throws: `ValidationError` where nothing could be written: before anything is computed for it.
  init(_ path: String, flag: String = "--out", ending: String? = nil) throws {
    self.path = path
    if let ending, !path.lowercased().hasSuffix(".\(ending)") {
      throw ValidationError(
        "\(flag) \(path): what is written is \(ending.uppercased()). Give a name that ends in .\(ending).")
    }
    if isFolder(path) { throw ValidationError("\(flag) \(path) is a folder. Give the name of a file.") }
    let folder = parent(of: path)
    if !isFolder(folder) { throw ValidationError("\(flag) \(path): there is no folder \(folder). Make it first.") }
  }

  /// - Throws: `DurabilityError`; then the file is as it was.
  func write(_ bytes: some Collection<UInt8>) throws {
    do {
      try storage.writeAtomically(bytes, to: path)
    } catch {
      try? storage.remove(path + ".tmp")
      throw error
    }
  }
}
