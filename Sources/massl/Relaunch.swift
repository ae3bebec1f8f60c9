import Configuration
import Glibc
import Machine
import Numerics
import Telemetry

/// Starting massl again in the environment of its compute class.
///
/// OpenBLAS chooses its kernels, by the processor or by its own variables, while it is loaded, before the first line
/// of `main`, and oneDNN when it first multiplies. So a process in another environment than its run's class wants replaces itself by one in the right
/// environment: same process number, same arguments, same open files. It happens once, for then nothing differs.
package enum Relaunch {
  /// What must change in an environment; empty in the right one.
  package static func changes(
    for computeClass: ComputeClass, _ precision: ProductPrecision = .fp32, in environment: [String: String]
  ) -> [String: String] {
    computeClass.environment(for: precision).filter { environment[$0.key] != $0.value }
  }

  /// A sentence for each variable that a user set to something else than the class needs; empty where massl set them.
  package static func overruled(
    by computeClass: ComputeClass, _ precision: ProductPrecision = .fp32, in environment: [String: String]
  ) -> [String] {
    if environment[ComputeClass.nameInEnvironment] != nil { return [] }
    return changes(for: computeClass, precision, in: environment).sorted { $0.key < $1.key }.compactMap { name, value in
      environment[name].map {
        "\(name)=\($0) of the environment is not used: compute_class \(computeClass.rawValue) needs \(value)."
      }
    }
  }

  /// Returns in the environment of `computeClass`, or not at all: then a new massl has begun.
  ///
  /// Call before anything of Numerics computes, and before threads are started.
  /// - Throws: `ComputeClassError` if this processor cannot run the class, the class not multiply in the precision, or
  ///   OpenBLAS takes other kernels all the same; `OneDNNError` if oneDNN is needed and cannot be used; `RelaunchError` if
  ///   the system does not start the program.
  package static func ensure(_ computeClass: ComputeClass, _ precision: ProductPrecision) throws {
    try Processor.check(computeClass)
    try computeClass.check(precision)
    let wanted = computeClass.environment(for: precision)
    var current: [String: String] = [:]
    for name in wanted.keys { current[name] = getenv(name).map { String(cString: $0) } }
    let changes = changes(for: computeClass, precision, in: current)
    if changes.isEmpty {
      try computeClass.check(coreName: OpenBLAS.coreName)
      if precision == .bf16 { try OneDNN.check() }
      return
    }
    for sentence in overruled(by: computeClass, precision, in: current) { Console.standardError.write(line: sentence) }
    for (name, value) in changes { setenv(name, value, 1) }
    Signals.handOver()
    execv("/proc/self/exe", CommandLine.unsafeArgv)
    throw RelaunchError(reason: String(cString: strerror(errno)))
  }
}

/// The system did not start massl again.
package struct RelaunchError: Error, Equatable, CustomStringConvertible {
  package let reason: String

  package init(reason: String) { self.reason = reason }

  package var description: String {
    "Cannot start massl again with the compute class's environment: \(reason). /proc must be mounted, and the program "
      + "still be where it was."
  }
}

extension Relaunch {
  /// The same for a run's class and precision.
  package static func ensure(_ configuration: RunConfiguration) throws {
    try ensure(ComputeClass(configuration), ProductPrecision(configuration.precision))
  }

  /// The same; where the run names a class that this machine cannot compute in, for this machine's own.
  /// - Returns: why it cannot; nil where it can.
  package static func ensureIfPossible(_ configuration: RunConfiguration) throws -> (any Error)? {
    let (computeClass, precision) = (ComputeClass(configuration), ProductPrecision(configuration.precision))
    try computeClass.check(precision)
    do {
      try Processor.check(computeClass)
      if precision == .bf16 { try OneDNN.check() }
    } catch  where configuration.computeClass != .auto {
      try ensure(Processor.bestClass(for: .fp32), .fp32)
      return error
    }
    try ensure(computeClass, precision)
    return nil
  }
}

extension ComputeClass {
  /// The class that a run's settings name, or leave to this machine.
  package init(_ configuration: RunConfiguration) {
    self.init(configuration.computeClass, ProductPrecision(configuration.precision))
  }

  /// The class that a recipe names, or leaves to this machine.
  package init(_ name: ComputeClassName, _ precision: ProductPrecision) {
    switch name {
    case .auto: self = Processor.bestClass(for: precision)
    case .avx2: self = .avx2
    case .avx512: self = .avx512
    case .avx512BF16: self = .avx512BF16
    case .amx: self = .amx
    case .neon: self = .neon
    }
  }
}

extension ComputeClassName {
  /// As a recipe names the class.
  package init(_ computeClass: ComputeClass) {
    switch computeClass {
    case .avx2: self = .avx2
    case .avx512: self = .avx512
    case .avx512BF16: self = .avx512BF16
    case .amx: self = .amx
    case .neon: self = .neon
    }
  }
}

extension ProductPrecision {
  /// As a recipe names it.
  package init(_ name: PrecisionName) {
    switch name {
    case .fp32: self = .fp32
    case .bf16: self = .bf16
    }
  }
}

extension RunConfiguration {
  /// As a run that this machine starts would have it.
  var here: RunConfiguration { born(in: ComputeClassName(ComputeClass(self))) }
}
