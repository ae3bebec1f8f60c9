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
    for (name, value) in computeClass.environment { #expect(environment[name] == value, "\(name)") }
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
