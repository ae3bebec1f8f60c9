import COpenBLAS

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
