/// Why the libraries on this machine cannot do a run's arithmetic.
public enum NumericsError: Error, Equatable, CustomStringConvertible {
  /// OpenBLAS computes with other kernels than the class asks for.
  case otherKernels(computeClass: ComputeClass, expected: String, found: String)

  public var description: String {
    switch self {
    case .otherKernels(let computeClass, let expected, let found):
      return "OpenBLAS computes with its \(found) kernels, and compute_class \(computeClass.rawValue) is \(expected): "
        + "the results would have other bits. Set OPENBLAS_CORETYPE=\(expected) before massl starts, and use an "
        + "OpenBLAS built with DYNAMIC_ARCH (Debian's is)."
    }
  }
}
