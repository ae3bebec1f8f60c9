import Configuration
import Glibc
import Machine
import Numerics
import Telemetry

/// Starting massl again in the environment of its compute class.
///
/// OpenBLAS chooses its kernels, by the processor or by its own variables, while it is loaded, before the first line
/// of `main`. So a process in another environment than its run's class wants replaces itself by one in the right
/// environment: same process number, same arguments, same open files. It happens once, for then nothing differs.
package enum Relaunch {
  /// What must change in an environment; empty in the right one.
  package static func changes(for computeClass: ComputeClass, in environment: [String: String]) -> [String: String] {
    computeClass.environment.filter { environment[$0.key] != $0.value }
  }

  /// A sentence for each variable that a user set to something else than the class needs; empty where massl set them.
  package static func overruled(by computeClass: ComputeClass, in environment: [String: String]) -> [String] {
    if environment[ComputeClass.nameInEnvironment] != nil { return [] }
    return changes(for: computeClass, in: environment).sorted { $0.key < $1.key }.compactMap { name, value in
      environment[name].map {
        "\(name)=\($0) of the environment is not used: compute_class \(computeClass.rawValue) needs \(value)."
      }
    }
  }

  /// Returns in the environment of `computeClass`, or not at all: then a new massl has begun.
  ///
  /// Call before anything of Numerics computes, and before threads are started.
  /// - Throws: `ComputeClassError` if this processor cannot run the class, or OpenBLAS takes other kernels all the same;
  ///   `RelaunchError` if the system does not start the program.
  package static func ensure(_ computeClass: ComputeClass) throws {
    try Processor.check(computeClass)
    let wanted = computeClass.environment
    var current: [String: String] = [:]
    for name in wanted.keys { current[name] = getenv(name).map { String(cString: $0) } }
    let changes = changes(for: computeClass, in: current)
    if changes.isEmpty { return try computeClass.check(coreName: OpenBLAS.coreName) }
    for sentence in overruled(by: computeClass, in: current) { Console.standardError.write(line: sentence) }
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

extension ComputeClass {
  /// The class that a recipe names, or leaves to this machine.
  package init(_ name: ComputeClassName) {
    switch name {
    case .auto: self = Processor.bestClass
    case .avx2: self = .avx2
    case .avx512: self = .avx512
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
    case .neon: self = .neon
    }
  }
}

extension RunConfiguration {
  /// As a run that this machine starts would have it.
  var here: RunConfiguration { born(in: ComputeClassName(Processor.bestClass)) }
}
