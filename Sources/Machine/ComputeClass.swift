/// Processors that give the same bits: whose kernels multiply, and what they need.
///
/// A library chooses kernels, and the pieces in which it adds up, by the processor and the cache that it finds when it is
/// loaded. A run names its class instead, and every process is started with the class's `environment`. From the least to
/// the best that a processor may have.
public enum ComputeClass: String, Sendable, CaseIterable, Codable {
  case avx2
  case avx512
  /// AVX-512 with instructions that multiply bfloat16; for bf16 alone.
  case avx512BF16 = "avx512_bf16"
  /// Matrix tiles of bfloat16; for bf16 alone.
  case amx
  case neon
}

// MARK: - The table

extension ComputeClass {
  /// What a class needs and what it pins.
  private struct Terms {
    /// Of a processor, in the words of /proc/cpuinfo.
    let features: Set<String>
    /// OpenBLAS' name for the kernels that multiply floats.
    let coreType: String
    /// oneDNN's name for the most that its kernels, which multiply bfloat16, use; nil where it has none.
    var instructionSet: String?
    var fp32 = ProductSupport.native
    var bf16 = ProductSupport.none
    /// Who has such a processor.
    let machines: String
  }

  private var terms: Terms {
    // What Package.swift lets the compiler use on x86-64, whatever the class.
    let builtFor: Set<String> = ["avx2", "fma", "f16c"]
    let wide = builtFor.union(["avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"])
    return switch self {
    case .avx2:
      Terms(
        features: builtFor, coreType: "Haswell",
        machines: "a processor with AVX2 and FMA (Intel Haswell or AMD Zen, and later)")
    case .avx512:
      Terms(
        features: wide, coreType: "SkylakeX", instructionSet: "AVX512_CORE", bf16: .emulated,
        machines: "a processor with AVX-512 (Intel Xeon since Skylake, AMD since Zen 4)")
    case .avx512BF16:
      Terms(
        features: wide.union(["avx512_bf16"]), coreType: "SkylakeX", instructionSet: "AVX512_CORE_BF16", fp32: .none,
        bf16: .native, machines: "a processor with AVX512_BF16 (Intel Xeon since Cooper Lake, AMD since Zen 4)")
    case .amx:
      Terms(
        features: wide.union(["avx512_bf16", "amx_tile", "amx_bf16"]), coreType: "SkylakeX",
        instructionSet: "AVX512_CORE_AMX", fp32: .none, bf16: .native,
        machines: "a processor with AMX (Intel Xeon since Sapphire Rapids)")
    case .neon: Terms(features: ["asimd"], coreType: "ARMV8", machines: "an arm64 processor")
    }
  }

  /// What the kernels, the libraries' and ours, use of a processor; in the words of /proc/cpuinfo.
  public var features: Set<String> { terms.features }

  /// OpenBLAS' name for the kernels of floats.
  public var coreType: String { terms.coreType }

  /// "a processor with AVX-512 (...)".
  public var machines: String { terms.machines }

  /// How products of a precision are computed.
  public func support(of precision: ProductPrecision) -> ProductSupport {
    switch precision {
    case .fp32: terms.fp32
    case .bf16: terms.bf16
    }
  }

  /// What the environment must hold before the libraries are loaded. The size of the second-level cache (in KiB) is there
  /// because blocks, and with them rounding, follow the one that OpenBLAS finds. oneDNN's variables, and those of OpenMP
  /// that it computes with, are there only where it multiplies.
  public func environment(for precision: ProductPrecision) -> [String: String] {
    var environment = [
      Self.nameInEnvironment: rawValue, "OPENBLAS_CORETYPE": coreType, "OPENBLAS_L2_SIZE": "512",
      "OPENBLAS_NUM_THREADS": "1",
    ]
    if precision == .bf16 {
      environment["ONEDNN_MAX_CPU_ISA"] = terms.instructionSet
      environment["OMP_NUM_THREADS"] = "1"
    }
    return environment
  }

  /// Where it says that massl, and not a user, set the rest.
  public static let nameInEnvironment = "MASSL_COMPUTE_CLASS"
}

// MARK: - Checking

extension ComputeClass {
  /// - Throws: `ComputeClassError.otherPrecision` if the class is not for products of this precision.
  public func check(_ precision: ProductPrecision) throws(ComputeClassError) {
    if support(of: precision) == .none { throw .otherPrecision(self, precision) }
  }

  /// - Parameter coreName: what OpenBLAS says it uses: `OpenBLAS.coreName`.
  /// - Throws: `ComputeClassError.otherKernels` if it is not this class's core.
  public func check(coreName: String) throws(ComputeClassError) {
    if coreName.lowercased() != coreType.lowercased() { throw .otherKernels(self, found: coreName) }
  }
}

/// Why this machine cannot do a run's arithmetic.
public enum ComputeClassError: Error, Equatable, CustomStringConvertible {
  /// The processor has no such instructions; `missing` in the words of /proc/cpuinfo, sorted. It has the classes in
  /// `available`, the best one last.
  case lacking(ComputeClass, missing: [String], available: [ComputeClass])
  /// OpenBLAS computes with other kernels than the class asks for.
  case otherKernels(ComputeClass, found: String)
  /// The class has no products of this precision.
  case otherPrecision(ComputeClass, ProductPrecision)

  public var description: String {
    switch self {
    case .lacking(let computeClass, let missing, let available):
      let lacks =
        "This processor lacks \(missing.joined(separator: ", ")), which compute_class \(computeClass.rawValue) computes "
        + "with. "
      guard let best = available.last else {
        return lacks + "massl on this kind of machine needs \(computeClass.machines): use another machine."
      }
      let classes = available.map(\.rawValue).joined(separator: " and ")
      return lacks + "It has \(classes). Use \(computeClass.machines), or a run of such a class: "
        + "compute_class \(best.rawValue) starts one, massl fork --run A --to B "
        + "compute_class=\(best.rawValue) goes on from another's checkpoint."
    case .otherKernels(let computeClass, let found):
      return "OpenBLAS computes with its \(found) kernels, and compute_class \(computeClass.rawValue) is "
        + "\(computeClass.coreType): the results would have other bits. Use an OpenBLAS built with DYNAMIC_ARCH (Debian's "
        + "is), which goes by OPENBLAS_CORETYPE."
    case .otherPrecision(let computeClass, let precision):
      let others = ComputeClass.allCases.filter { $0.support(of: precision) != .none }
      let fitting = others.map { "\($0.rawValue), \($0.machines)" }.joined(separator: "; ")
      return "compute_class \(computeClass.rawValue) has no products in \(precision.rawValue). Classes that have: "
        + "\(fitting). Use one of these, compute_class auto on such a machine, or precision "
        + "\(precision == .bf16 ? "fp32" : "bf16")."
    }
  }
}
