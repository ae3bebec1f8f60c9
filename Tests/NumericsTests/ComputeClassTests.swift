import Numerics
import Testing

@Suite struct ComputeClassTests {
  static let haswell = """
    processor\t: 0
    flags\t\t: fpu sse sse2 f16c fma avx avx2
    bugs\t\t: spectre_v1
    vmx flags\t: none
    """

  @Test func featuresAreReadFromBothKindsOfProcessor() {
    #expect(ComputeClass.features(inProcessorInformation: Self.haswell).isSuperset(of: ["fma", "avx2", "fpu"]))
    #expect(ComputeClass.features(inProcessorInformation: "Features\t: fp asimd\n") == ["fp", "asimd"])
    #expect(ComputeClass.features(inProcessorInformation: "nothing of the kind").isEmpty)
  }

  @Test func aProcessorWithoutAVX2IsToldSo() throws {
    try ComputeClass.avx2.check(features: ComputeClass.features(inProcessorInformation: Self.haswell))
    let error = #expect(throws: NumericsError.self) { try ComputeClass.avx2.check(features: ["sse2", "fma", "avx"]) }
    #expect(error == .processorLacks(computeClass: .avx2, missing: ["avx2", "f16c"]))
    #expect(
      error?.description
        == "This processor lacks avx2, f16c, which compute_class avx2 computes with. massl on x86-64 needs a processor "
        + "with AVX2 and FMA (Intel Haswell or AMD Zen, and later): use another machine.")
  }

  @Test func avx512NeedsMoreAndNeonAnotherMachine() {
    let features = ComputeClass.features(inProcessorInformation: Self.haswell)
    #expect(
      throws: NumericsError.processorLacks(
        computeClass: .avx512, missing: ["avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"])
    ) { try ComputeClass.avx512.check(features: features) }
    #expect(throws: NumericsError.processorLacks(computeClass: .neon, missing: ["asimd"])) {
      try ComputeClass.neon.check(features: features)
    }
  }

  @Test func otherKernelsAreRefused() throws {
    try ComputeClass.neon.check(coreName: "armv8")
    #expect(throws: NumericsError.otherKernels(computeClass: .avx2, expected: "Haswell", found: "Zen")) {
      try ComputeClass.avx2.check(coreName: "Zen")
    }
    #expect(!OpenBLAS.coreName.isEmpty && OpenBLAS.build.contains("OpenBLAS"))
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
