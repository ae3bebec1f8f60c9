import ArgumentParser
import Durability
import Vision

/// A file that a command writes: one that is there is replaced, whole or not at all.
struct OutputFile {
  let path: String
  private let storage: any Storage = FileStorage()

  /// - Parameter ending: what its name has to end in, for it says what is in the file: "png".
  /// - Throws: `ValidationError` where nothing could be written: before anything is computed for it.
  init(_ path: String, ending: String) throws {
    self.path = path
    guard path.lowercased().hasSuffix(".\(ending)") else {
      throw ValidationError(
        "--out \(path): what is written is \(ending.uppercased()). Give a name that ends in .\(ending).")
    }
    if isFolder(path) { throw ValidationError("--out \(path) is a folder. Give the name of a file.") }
    let folder = parent(of: path)
    if !isFolder(folder) { throw ValidationError("--out \(path): there is no folder \(folder). Make it first.") }
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
