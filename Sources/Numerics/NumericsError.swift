/// Why this machine, or the libraries on it, cannot do a run's arithmetic.
public enum NumericsError: Error, Equatable, CustomStringConvertible {
  /// The processor has no such instructions; `missing` in the words of /proc/cpuinfo, sorted.
  case processorLacks(computeClass: ComputeClass, missing: [String])
  /// OpenBLAS computes with other kernels than the class asks for.
  case otherKernels(computeClass: ComputeClass, expected: String, found: String)

  public var description: String {
    switch self {
    case .processorLacks(let computeClass, let missing):
      let remedy: String
      switch computeClass {
      case .avx2:
        remedy =
          "massl on x86-64 needs a processor with AVX2 and FMA (Intel Haswell or AMD Zen, and later): use another machine."
      case .avx512:
        remedy = "Use a machine with AVX-512, or start a run of its own with compute_class avx2."
      case .neon:
        remedy = "The class neon is for arm64: on x86-64, start a run of its own with compute_class avx2."
      }
      return "This processor lacks \(missing.joined(separator: ", ")), which compute_class \(computeClass.rawValue) "
        + "computes with. \(remedy)"
    case .otherKernels(let computeClass, let expected, let found):
      return "OpenBLAS computes with its \(found) kernels, and compute_class \(computeClass.rawValue) is \(expected): "
        + "the results would have other bits. Set OPENBLAS_CORETYPE=\(expected) before massl starts, and use an "
        + "OpenBLAS built with DYNAMIC_ARCH (Debian's is)."
    }
  }
}
