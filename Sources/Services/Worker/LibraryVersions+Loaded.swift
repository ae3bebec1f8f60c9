import Configuration
import Messages
import Numerics
import Vision

extension LibraryVersions {
  /// Those that this process computes and decodes with. oneDNN is not loaded where it has nothing to multiply.
  init(of precision: PrecisionName) {
    let oneDNN = precision == .bf16 ? OneDNN.release.map { "oneDNN \($0)" } : nil
    self.init(openBLAS: OpenBLAS.version, libjpeg: JPEGLibrary.version, oneDNN: oneDNN ?? "")
  }
}
