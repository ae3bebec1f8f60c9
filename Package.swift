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

// What 'massl --version' says; 'make' gives it. Without it the commit is unknown, and said to be.
let commit = Context.environment["MASSL_COMMIT"] ?? ""

let package = Package(
  name: "massl",
  products: [.executable(name: "massl", targets: ["massl"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // The C side: module maps, shims, generated files.
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
    .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CWebP", pkgConfig: "libwebp", providers: [.apt(["libwebp-dev"])]),
    .target(name: "CJPEG", linkerSettings: [.linkedLibrary("jpeg")]),
    .target(name: "CMapping"),
    .target(name: "COneDNN"),
    .target(name: "CVersion", cSettings: commit.isEmpty ? [] : [.define("MASSL_COMMIT", to: "\"\(commit)\"")]),
    .target(name: "CMessages", dependencies: ["CProtobufC"], linkerSettings: [.linkedLibrary("protobuf-c")]),

    // Arrows point downward only: a target imports targets above it in this list.
    .target(name: "Printing"),
    .target(name: "Packing"),
    .target(
      name: "Numerics", dependencies: ["COpenBLAS", "COneDNN", "CXXHash", "CSodium"], swiftSettings: arithmetic),
    .target(name: "Machine"),
    .target(name: "Configuration", dependencies: ["Yams"]),
    .target(name: "Durability", dependencies: ["CMapping"]),
    .target(name: "Processes", dependencies: ["Printing"]),
    .target(
      name: "Vision", dependencies: ["CJPEG", "CPNG", "CWebP", "Durability", "Numerics", "Printing"],
      swiftSettings: [.unsafeFlags(vectorFlags)]),
    .target(name: "Drawing", dependencies: ["CPNG", "Printing", "Vision"]),
    .target(name: "Networks", dependencies: ["Numerics"], swiftSettings: arithmetic),
    .target(name: "Objective", dependencies: ["Numerics"], swiftSettings: arithmetic),
    .target(name: "Optimization", dependencies: ["Numerics"], swiftSettings: arithmetic),
    .target(name: "MemoryBank", dependencies: ["Numerics", "Durability"]),
    .target(name: "Slices"),
    .target(name: "Threads", dependencies: ["Numerics"]),
    .target(name: "Messages", dependencies: ["Numerics", "MemoryBank", "Slices"]),
    .target(
      name: "Wire",
      dependencies: [
        "CZeroMQ", "CProtobufC", "CMessages", "Packing", "Numerics", "MemoryBank", "Slices", "Threads", "Messages",
      ]),
    .target(name: "Coordination", dependencies: ["Numerics", "Slices", "Messages"]),
    .target(
      name: "Checkpoints", dependencies: ["Numerics", "Networks", "Durability", "Printing", "Coordination"]),
    .target(
      name: "Training",
      dependencies: [
        "Numerics", "Configuration", "Vision", "Networks", "Objective", "Optimization", "MemoryBank", "Slices",
      ]),
    .target(
      name: "ONNXFiles", dependencies: ["CProtobufC", "CMessages", "Packing", "Numerics", "Networks"]),
    .target(name: "WeightFiles", dependencies: ["Numerics", "Durability", "Networks", "Checkpoints"]),
    .target(
      name: "Verification",
      dependencies: [
        "Numerics", "Configuration", "Vision", "Networks", "Optimization", "Checkpoints", "Training", "WeightFiles",
      ]),
    .target(name: "Telemetry", dependencies: ["Printing", .product(name: "Logging", package: "swift-log")]),
    .target(
      name: "Evaluation",
      dependencies: [
        "Numerics", "Machine", "Vision", "Networks", "Optimization", "Checkpoints", "Configuration", "Durability",
        "Training", "WeightFiles",
      ]),
    .target(
      name: "Runs",
      dependencies: [
        "Evaluation", "ONNXFiles", "WeightFiles", "Training", "Checkpoints", "Slices", "Messages", "Coordination",
        "Telemetry", "Configuration", "Durability",
        "MemoryBank", "Networks", "Numerics", "Objective", "Optimization", "Vision", "Machine",
      ]),
    .target(
      name: "Services",
      dependencies: [
        "Runs", "Evaluation", "WeightFiles",
        "Training", "Checkpoints", "Slices", "Threads", "Messages", "Wire", "Coordination", "Telemetry",
        "Configuration", "Durability", "MemoryBank",
        "Networks", "Numerics", "Objective", "Optimization", "Vision", "Machine",
      ]),
    .target(name: "HTTP", dependencies: ["Messages"]),
    .target(name: "EventFiles", dependencies: ["CProtobufC", "CMessages", "Packing"]),
    .target(
      name: "Watching",
      dependencies: [
        "HTTP", "EventFiles", "Services", "Checkpoints", "Configuration", "Coordination", "CSodium", "Durability",
        "Messages", "Printing", "Processes", "Runs", "Telemetry", "Threads", "Training", "Vision", "Wire",
      ],
      resources: [
        .embedInCode("Page/page.html"), .embedInCode("Page/login.html"), .embedInCode("Page/page.css"),
        .embedInCode("Page/format.js"), .embedInCode("Page/chart.js"), .embedInCode("Page/tables.js"),
        .embedInCode("Page/page.js"),
      ]),
    .target(
      name: "Planning",
      dependencies: [
        "Configuration", "Coordination", "MemoryBank", "Numerics", "Optimization", "Training", "Slices",
        "Messages",
      ]),
    .target(
      name: "Visualization",
      dependencies: [
        "Drawing", "Numerics", "Vision", "Networks", "MemoryBank", "Checkpoints", "Configuration", "Durability",
        "Printing", "Training", "Runs", "Watching", "WeightFiles", "Evaluation",
      ],
      resources: [.embedInCode("Report/report.css")]),
    .target(
      name: "Benchmark",
      dependencies: [
        "CZeroMQ", "Numerics", "Vision", "Networks", "Objective", "Optimization", "MemoryBank", "Slices", "Threads",
        "Messages", "Wire", "Training", "Runs", "Services", "Configuration",
      ]),
    .target(name: "Launching", dependencies: ["Configuration", "Messages", "Printing", "Yams"]),
    .executableTarget(
      name: "massl",
      dependencies: [
        "Runs", "Services", "Planning", "Verification", "Evaluation", "Benchmark", "Checkpoints", "Durability",
        "Networks",
        "Configuration",
        "CVersion", "Coordination", "EventFiles", "HTTP", "Launching", "Machine", "MemoryBank", "Messages", "Numerics",
        "Drawing", "ONNXFiles", "Optimization", "Printing", "Processes", "Telemetry", "Threads", "Training", "Vision",
        "Visualization", "Watching", "WeightFiles", "Wire",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ]),

    .target(name: "CTestEnvironment", path: "Tests/CTestEnvironment"),
    .target(
      name: "TestSupport", dependencies: ["CTestEnvironment", "Durability", "Numerics", "Messages"],
      path: "Tests/TestSupport"),
    .testTarget(name: "TestSupportTests", dependencies: ["TestSupport"]),
    .testTarget(name: "MachineTests", dependencies: ["Machine", "Numerics"]),
    .testTarget(name: "ConfigurationTests", dependencies: ["Configuration", "TestSupport"]),
    .testTarget(name: "DurabilityTests", dependencies: ["Durability", "TestSupport", "Threads"]),
    .testTarget(name: "MemoryBankTests", dependencies: ["MemoryBank", "Numerics", "Durability", "TestSupport"]),
    .testTarget(name: "CheckpointsTests", dependencies: ["Checkpoints", "Numerics", "Durability", "TestSupport"]),
    .testTarget(
      name: "WeightFilesTests",
      dependencies: [
        "WeightFiles", "Checkpoints", "Configuration", "Durability", "Networks", "Numerics", "TestSupport", "Training",
      ]),
    .testTarget(
      name: "ONNXFilesTests",
      dependencies: ["CMessages", "CProtobufC", "ONNXFiles", "Networks", "Numerics", "TestSupport"]),
    .testTarget(
      name: "WireTests",
      dependencies: ["MemoryBank", "Slices", "Threads", "Messages", "Wire", "Numerics", "TestSupport"]),
    .testTarget(
      name: "CoordinationTests",
      dependencies: [
        "Runs", "Checkpoints", "Coordination", "Durability", "MemoryBank", "Slices", "Messages", "Wire", "Numerics",
        "TestSupport",
      ]),
    .testTarget(
      name: "TelemetryTests",
      dependencies: ["Telemetry", "TestSupport", .product(name: "Logging", package: "swift-log")]),
    .testTarget(name: "DrawingTests", dependencies: ["CPNG", "Drawing", "Vision"]),
    .testTarget(
      name: "VisualizationTests",
      dependencies: [
        "Visualization", "Drawing", "Evaluation", "Runs", "Checkpoints", "Configuration", "Durability", "MemoryBank",
        "Networks", "Numerics", "TestSupport", "Training", "Vision",
      ]),
    .testTarget(name: "LaunchingTests", dependencies: ["Launching"]),
    .testTarget(name: "ProcessesTests", dependencies: ["Processes", "TestSupport"]),
    .testTarget(name: "PrintingTests", dependencies: ["Printing"]),
    .testTarget(name: "NumericsTests", dependencies: ["Numerics"]),
    .testTarget(name: "NetworksTests", dependencies: ["Networks", "Numerics"]),
    .testTarget(name: "ObjectiveTests", dependencies: ["Objective", "Numerics", "TestSupport"]),
    .testTarget(name: "OptimizationTests", dependencies: ["Optimization", "Numerics", "TestSupport"]),
    .testTarget(
      name: "TrainingTests",
      dependencies: ["Training", "Networks", "Numerics", "Configuration", "MemoryBank", "Slices", "Vision"]),
    .testTarget(
      name: "VisionTests", dependencies: ["Vision", "CJPEG", "CPNG", "Numerics", "TestSupport"], exclude: ["Fixtures"]),
    .testTarget(
      name: "ServicesTests",
      dependencies: [
        "Runs", "Services", "Durability", "Machine", "Slices", "Threads", "Messages", "Wire", "TestSupport",
      ]),
    .testTarget(name: "HTTPTests", dependencies: ["HTTP", "Messages", "TestSupport"]),
    .testTarget(name: "EventFilesTests", dependencies: ["EventFiles", "TestSupport"]),
    .testTarget(
      name: "WatchingTests",
      dependencies: [
        "Watching", "EventFiles", "HTTP", "Checkpoints", "Coordination", "Durability", "Numerics", "Services",
        "Telemetry", "TestSupport",
      ]),
    .testTarget(name: "VerificationTests", dependencies: ["Numerics", "Verification"]),
    .testTarget(
      name: "CommandLineTests",
      dependencies: [
        "massl", "Configuration", "Durability", "Machine", "Messages", "Numerics", "Runs", "TestSupport", "Training",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .testTarget(
      name: "ProcessTests",
      dependencies: [
        "massl", "Checkpoints", "Coordination", "Durability", "Machine", "MemoryBank", "Messages", "Numerics",
        "Processes", "Services", "TestSupport", "Threads", "Wire",
      ]),
    .testTarget(name: "BenchmarkTests", dependencies: ["Benchmark", "Configuration", "TestSupport", "Training"]),
    .testTarget(
      name: "PlanningTests",
      dependencies: ["Planning", "Checkpoints", "Training", "MemoryBank", "TestSupport"]),
    .testTarget(
      name: "EvaluationTests",
      dependencies: [
        "Evaluation", "Checkpoints", "Configuration", "Durability", "Machine", "Networks", "Numerics", "TestSupport",
        "Training",
        "Vision",
      ]),
  ],
  swiftLanguageModes: [.v6]
)
