import Messages
import Numerics
import Vision

extension LibraryVersions {
  /// Those that this process computes and decodes with.
  static let loaded = LibraryVersions(openBLAS: OpenBLAS.version, libjpeg: JPEGLibrary.version)
}
