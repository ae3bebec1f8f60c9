// swift-tools-version: 6.0
import PackageDescription

// Targets that do arithmetic on their own data drop Swift's own checks and keep `invariant`;
// whatever touches bytes from a file or a peer is built with -O and keeps every check.
#if arch(x86_64)
  let vectorFlags = ["-Xcc", "-mavx2", "-Xcc", "-mfma", "-Xcc", "-mf16c"]
#else
  let vectorFlags: [String] = []
#endif
let arithmetic: [SwiftSetting] = [.unsafeFlags(["-Ounchecked"] + vectorFlags)]

let package = Package(
  name: "massl",
  dependencies: [],
  targets: [
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .target(name: "Numerics", dependencies: ["COpenBLAS", "CXXHash"], swiftSettings: arithmetic),
  ],
  swiftLanguageModes: [.v6]
)
