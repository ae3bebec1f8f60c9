import Foundation
import Numerics
import Testing

@Suite struct ComputeClassTests {
  @Test func otherKernelsAreRefused() throws {
    try ComputeClass.neon.check(coreName: "armv8")
    #expect(throws: NumericsError.otherKernels(computeClass: .avx2, expected: "Haswell", found: "Zen")) {
      try ComputeClass.avx2.check(coreName: "Zen")
    }
    #expect(!OpenBLAS.coreName.isEmpty && OpenBLAS.build.contains("OpenBLAS"))
  }

  /// However they are started (`CTestEnvironment`): else a processor that OpenBLAS does not know rounds as no class does.
  @Test func testsComputeInAClass() {
    let computeClass = ComputeClass.allCases.first { (try? $0.check(coreName: OpenBLAS.coreName)) != nil }
    #expect(
      computeClass != nil, "OpenBLAS uses its kernels for \(OpenBLAS.coreName): set OPENBLAS_CORETYPE to a class's")
    let environment = ProcessInfo.processInfo.environment
    for (name, value) in computeClass?.environment ?? [:] { #expect(environment[name] == value, "\(name)") }
  }

  @Test func theEnvironmentPinsKernelsBlocksAndThreads() {
    for computeClass in ComputeClass.allCases {
      #expect(computeClass.environment["OPENBLAS_CORETYPE"] == computeClass.coreType)
      #expect(computeClass.environment["OPENBLAS_L2_SIZE"] == "512")
      #expect(computeClass.environment["OPENBLAS_NUM_THREADS"] == "1")
    }
    OpenBLAS.useOneThread()
    #expect(OpenBLAS.threads == 1)
  }
}
