import Glibc

/// What this machine's processor can do, found out before anything uses it.
///
/// It stands here, not in Numerics, for Numerics is compiled for vector instructions: on a processor without them its
/// own check would be an illegal instruction.
public enum Processor {
  /// The class that any processor this program is built for can run.
  public static var leastClass: ComputeClass {
    #if arch(x86_64)
      .avx2
    #else
      .neon
    #endif
  }

  /// The classes that this processor can run, the best one last.
  public static var classes: [ComputeClass] { classes(features: features()) }

  /// The same of a processor with these features; only the least class where they are not known.
  public static func classes(features: Set<String>) -> [ComputeClass] {
    if features.isEmpty { return [leastClass] }
    return ComputeClass.allCases.filter { $0.features.isSubset(of: features) }
  }

  /// The fastest class of this processor for products of a precision; its best one of all where none has them.
  public static func bestClass(for precision: ProductPrecision) -> ComputeClass {
    bestClass(for: precision, features: features())
  }

  /// The same of a processor with these features.
  public static func bestClass(for precision: ProductPrecision, features: Set<String>) -> ComputeClass {
    let classes = classes(features: features)
    return classes.last { $0.support(of: precision) != .none } ?? classes.last ?? leastClass
  }

  /// - Throws: `ComputeClassError.lacking` if this processor cannot run the class.
  public static func check(_ computeClass: ComputeClass) throws(ComputeClassError) {
    let features = features()
    // Without the file they cannot be known, and every processor would be refused.
    if !features.isEmpty { try check(computeClass, features: features) }
  }

  /// - Throws: `ComputeClassError.lacking` unless every feature that the class needs is there.
  public static func check(_ computeClass: ComputeClass, features: Set<String>) throws(ComputeClassError) {
    let missing = computeClass.features.subtracting(features)
    if !missing.isEmpty {
      throw .lacking(computeClass, missing: missing.sorted(), available: classes(features: features))
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
  public static func features(inProcessorInformation text: String) -> Set<String> {
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
