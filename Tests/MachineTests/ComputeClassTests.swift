import Foundation
import Machine
import Numerics
import Testing

@Suite struct ComputeClassTests {
  @Test func otherKernelsAreRefused() throws {
    try ComputeClass.neon.check(coreName: "armv8")
    #expect(throws: ComputeClassError.otherKernels(.avx2, found: "Zen")) {
      try ComputeClass.avx2.check(coreName: "Zen")
    }
    #expect(!OpenBLAS.coreName.isEmpty && OpenBLAS.build.contains("OpenBLAS"))
  }

  /// However they are started (`CTestEnvironment`): else a processor that OpenBLAS does not know rounds as no class does.
  @Test func testsComputeInAClass() throws {
    let environment = ProcessInfo.processInfo.environment
    let computeClass = try #require(environment[ComputeClass.nameInEnvironment].flatMap(ComputeClass.init(rawValue:)))
    try computeClass.check(coreName: OpenBLAS.coreName)
    for (name, value) in computeClass.environment(for: .fp32) { #expect(environment[name] == value, "\(name)") }
  }

  @Test func theEnvironmentPinsKernelsBlocksAndThreads() {
    for computeClass in ComputeClass.allCases {
      for precision in ProductPrecision.allCases where computeClass.support(of: precision) != .none {
        let environment = computeClass.environment(for: precision)
        #expect(environment["OPENBLAS_CORETYPE"] == computeClass.coreType)
        #expect(environment["OPENBLAS_L2_SIZE"] == "512")
        #expect(environment["OPENBLAS_NUM_THREADS"] == "1")
        // oneDNN's are pinned where it multiplies, and nobody's OpenMP is bounded where it does not.
        #expect((environment["ONEDNN_MAX_CPU_ISA"] != nil) == (precision == .bf16))
        #expect(environment["OMP_NUM_THREADS"] == (precision == .bf16 ? "1" : nil))
      }
    }
    OpenBLAS.useOneThread()
    #expect(OpenBLAS.threads == 1)
  }
}
