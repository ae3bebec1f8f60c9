import Numerics
import Testing
import massl

/// A processor that cannot run a compute class is told so.
struct ProcessorTests {
  static let haswell = """
    processor\t: 0
    flags\t\t: fpu sse sse2 f16c fma avx avx2
    bugs\t\t: spectre_v1
    vmx flags\t: none
    """

  @Test func featuresAreReadFromBothKindsOfProcessor() {
    #expect(Processor.features(inProcessorInformation: Self.haswell).isSuperset(of: ["fma", "avx2", "fpu"]))
    #expect(Processor.features(inProcessorInformation: "Features\t: fp asimd\n") == ["fp", "asimd"])
    #expect(Processor.features(inProcessorInformation: "nothing of the kind").isEmpty)
  }

  @Test func aProcessorWithoutAVX2IsToldSo() throws {
    try Processor.check(.avx2, features: Processor.features(inProcessorInformation: Self.haswell))
    let error = #expect(throws: ProcessorError.self) { try Processor.check(.avx2, features: ["sse2", "fma", "avx"]) }
    #expect(error == ProcessorError(computeClass: .avx2, missing: ["avx2", "f16c"]))
    #expect(
      error?.description
        == "This processor lacks avx2, f16c, which compute_class avx2 computes with. massl on x86-64 needs a processor "
        + "with AVX2 and FMA (Intel Haswell or AMD Zen, and later): use another machine.")
  }

  @Test func avx512NeedsMoreAndNeonAnotherMachine() {
    let features = Processor.features(inProcessorInformation: Self.haswell)
    #expect(
      throws: ProcessorError(
        computeClass: .avx512, missing: ["avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"])
    ) { try Processor.check(.avx512, features: features) }
    #expect(throws: ProcessorError(computeClass: .neon, missing: ["asimd"])) {
      try Processor.check(.neon, features: features)
    }
  }
}
