import Glibc
import Numerics

/// What this machine's processor can do, found out before anything uses it.
///
/// It stands here, not in Numerics, for Numerics is compiled for vector instructions: on a processor without them its
/// own check would be an illegal instruction.
package enum Processor {
  /// The class that any processor this program is built for can run.
  package static var leastClass: ComputeClass {
    #if arch(x86_64)
      .avx2
    #else
      .neon
    #endif
  }

  /// The classes that this processor can run, the usual one first.
  package static var classes: [ComputeClass] {
    ComputeClass.allCases.filter { (try? check($0)) != nil }
  }

  /// - Throws: `ProcessorError` if this processor cannot run the class.
  package static func check(_ computeClass: ComputeClass) throws(ProcessorError) {
    let features = features()
    // Without the file they cannot be known, and every processor would be refused.
    if !features.isEmpty { try check(computeClass, features: features) }
  }

  /// - Throws: `ProcessorError` unless every feature that the class needs is there.
  package static func check(_ computeClass: ComputeClass, features: Set<String>) throws(ProcessorError) {
    let missing = needed(for: computeClass).subtracting(features)
    if !missing.isEmpty { throw ProcessorError(computeClass: computeClass, missing: missing.sorted()) }
  }

  /// The features that the kernels, OpenBLAS's and ours, use; in the words of /proc/cpuinfo.
  private static func needed(for computeClass: ComputeClass) -> Set<String> {
    // What Package.swift lets the compiler use on x86-64, whatever the class.
    let builtFor: Set<String> = ["avx2", "fma", "f16c"]
    switch computeClass {
    case .avx2: return builtFor
    case .avx512: return builtFor.union(["avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"])
    case .neon: return ["asimd"]
    }
  }

  /// This processor's.
  private static func features() -> Set<String> {
    guard let file = fopen("/proc/cpuinfo", "re") else { return [] }
    defer { fclose(file) }
    // The first processor's features stand in its first few kilobytes.
    let text = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
      count = fread(buffer.baseAddress!, 1, buffer.count, file)
    }
    return features(inProcessorInformation: String(decoding: text, as: UTF8.self))
  }

  /// The features in the text of /proc/cpuinfo: its first `flags` line (x86-64) or `Features` line (arm64). Empty if
  /// there is none.
  package static func features(inProcessorInformation text: String) -> Set<String> {
    for line in text.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let name = line[..<colon].split(whereSeparator: { $0 == " " || $0 == "\t" })
      if name == ["flags"] || name == ["Features"] {
        return Set(
          line[line.index(after: colon)...].split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init))
      }
    }
    return []
  }
}

/// The processor has no such instructions; `missing` in the words of /proc/cpuinfo, sorted.
package struct ProcessorError: Error, Equatable, CustomStringConvertible {
  package let computeClass: ComputeClass
  package let missing: [String]

  package init(computeClass: ComputeClass, missing: [String]) {
    self.computeClass = computeClass
    self.missing = missing
  }

  package var description: String {
    let remedy =
      switch computeClass {
      case .avx2:
        "massl on x86-64 needs a processor with AVX2 and FMA (Intel Haswell or AMD Zen, and later): use another machine."
      case .avx512: "Use a machine with AVX-512, or start a run of its own with compute_class avx2."
      case .neon: "The class neon is for arm64: on x86-64, start a run of its own with compute_class avx2."
      }
    return "This processor lacks \(missing.joined(separator: ", ")), which compute_class \(computeClass.rawValue) "
      + "computes with. \(remedy)"
  }
}
