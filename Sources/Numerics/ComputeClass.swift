import COpenBLAS

/// Processors that give the same bits: which kernels OpenBLAS uses, and what they need.
///
/// OpenBLAS chooses kernels, and the blocks in which it adds up, by the processor and the cache that it finds when it
/// is loaded. A run names its class instead, and every process is started with the class's `environment`.
public enum ComputeClass: String, Sendable, CaseIterable, Codable {
  case avx2
  case avx512
  case neon

  /// OpenBLAS' name for the kernels.
  public var coreType: String {
    switch self {
    case .avx2: "Haswell"
    case .avx512: "SkylakeX"
    case .neon: "ARMV8"
    }
  }

  /// What the environment must hold before OpenBLAS is loaded. The size of the second-level cache (in KiB) is there
  /// because blocks, and with them rounding, follow the one that OpenBLAS finds.
  public var environment: [String: String] {
    ["OPENBLAS_CORETYPE": coreType, "OPENBLAS_L2_SIZE": "512", "OPENBLAS_NUM_THREADS": "1"]
  }
}

// MARK: - Checking

extension ComputeClass {
  /// - Parameter coreName: what OpenBLAS says it uses: `OpenBLAS.coreName`.
  /// - Throws: `NumericsError.otherKernels` if it is not this class's core.
  public func check(coreName: String) throws(NumericsError) {
    if coreName.lowercased() != coreType.lowercased() {
      throw .otherKernels(computeClass: self, expected: coreType, found: coreName)
    }
  }
}

/// The library behind `multiply`, as it was loaded.
public enum OpenBLAS {
  /// The kernels in use: "Haswell", "SkylakeX", "armv8", ...
  public static var coreName: String { openblas_get_corename().map { String(cString: $0) } ?? "unknown" }

  /// Version and kernels: "OpenBLAS 0.3.21, Haswell".
  public static var version: String {
    "OpenBLAS \(release), \(coreName)"
  }

  /// "0.3.21".
  public static var release: String { build.split(separator: " ").dropFirst().first.map(String.init) ?? "unknown" }

  /// Version and build options, in its own words.
  public static var build: String { openblas_get_config().map { String(cString: $0) } ?? "unknown" }

  /// Threads a product may use.
  public static var threads: Int { Int(openblas_get_num_threads()) }

  /// Makes every product run on its calling thread. Call before the first one.
  public static func useOneThread() { openblas_set_num_threads(1) }
}
