import Machine
import Testing

/// Which classes a processor has, and what one that cannot run a class is told.
struct ProcessorTests {
  static let haswell = """
    processor\t: 0
    flags\t\t: fpu sse sse2 f16c fma avx avx2
    bugs\t\t: spectre_v1
    vmx flags\t: none
    """
  static let skylake = haswell.replacing("avx2", with: "avx2 avx512f avx512cd avx512bw avx512dq avx512vl")

  static let genoa = skylake.replacing("avx512f", with: "avx512f avx512_bf16")
  static let sapphireRapids = genoa.replacing("avx512f", with: "avx512f amx_bf16 amx_tile")

  private static func features(_ text: String) -> Set<String> { Processor.features(inProcessorInformation: text) }

  @Test func featuresAreReadFromBothKindsOfProcessor() {
    #expect(Self.features(Self.haswell).isSuperset(of: ["fma", "avx2", "fpu"]))
    #expect(Self.features("Features\t: fp asimd\n") == ["fp", "asimd"])
    #expect(Self.features("nothing of the kind").isEmpty)
  }

  @Test func classesStandFromTheLeastToTheBest() {
    #expect(Processor.classes(features: Self.features(Self.haswell)) == [.avx2])
    #expect(Processor.classes(features: Self.features(Self.skylake)) == [.avx2, .avx512])
    #expect(Processor.classes(features: Self.features(Self.genoa)) == [.avx2, .avx512, .avx512BF16])
    #expect(
      Processor.classes(features: Self.features(Self.sapphireRapids)) == [.avx2, .avx512, .avx512BF16, .amx])
    #expect(Processor.classes(features: ["fp", "asimd"]) == [.neon])
    #expect(Processor.classes(features: ["sse2"]).isEmpty)
  }

  @Test func theBestClassIsThatOfThePrecision() {
    func best(_ processor: String) -> [ComputeClass] {
      ProductPrecision.allCases.map { Processor.bestClass(for: $0, features: Self.features(processor)) }
    }
    #expect(best(Self.sapphireRapids) == [.avx512, .amx])
    #expect(best(Self.genoa) == [.avx512, .avx512BF16])
    #expect(best(Self.skylake) == [.avx512, .avx512])
    // Which is then refused, in words.
    #expect(best(Self.haswell) == [.avx2, .avx2])
    #expect(Processor.classes.contains(Processor.bestClass(for: .fp32)))
  }

  @Test func aClassWithoutAPrecisionNamesThoseThatHaveIt() throws {
    try ComputeClass.avx512.check(.fp32)
    try ComputeClass.avx512.check(.bf16)
    #expect(ComputeClass.avx512.support(of: .bf16) == .emulated && ComputeClass.amx.support(of: .bf16) == .native)
    let narrow = #expect(throws: ComputeClassError.self) { try ComputeClass.avx2.check(.bf16) }
    #expect(
      narrow?.description
        == "compute_class avx2 has no products in bf16. Classes that have: avx512, a processor with AVX-512 (Intel Xeon "
        + "since Skylake, AMD since Zen 4); avx512_bf16, a processor with AVX512_BF16 (Intel Xeon since Cooper Lake, AMD "
        + "since Zen 4); amx, a processor with AMX (Intel Xeon since Sapphire Rapids). Use one of these, compute_class auto "
        + "on such a machine, or precision fp32.")
    #expect(throws: ComputeClassError.otherPrecision(.amx, .fp32)) { try ComputeClass.amx.check(.fp32) }
    #expect(throws: ComputeClassError.otherPrecision(.neon, .bf16)) { try ComputeClass.neon.check(.bf16) }
  }

  @Test func aProcessorThatIsNotKnownGetsTheLeastClass() {
    #expect(Processor.classes(features: []) == [Processor.leastClass])
  }

  @Test func aProcessorWithoutAVX2IsToldSo() throws {
    try Processor.check(.avx2, features: Self.features(Self.haswell))
    let error = #expect(throws: ComputeClassError.self) {
      try Processor.check(.avx2, features: ["sse2", "fma", "avx"])
    }
    #expect(error == .lacking(.avx2, missing: ["avx2", "f16c"], available: []))
    #expect(
      error?.description
        == "This processor lacks avx2, f16c, which compute_class avx2 computes with. massl on this kind of machine needs a "
        + "processor with AVX2 and FMA (Intel Haswell or AMD Zen, and later): use another machine.")
  }

  @Test func whoLacksAClassIsToldWhatItHasAndHowToGoOn() {
    let error = #expect(throws: ComputeClassError.self) {
      try Processor.check(.avx512, features: Self.features(Self.haswell))
    }
    #expect(
      error?.description
        == "This processor lacks avx512bw, avx512cd, avx512dq, avx512f, avx512vl, which compute_class avx512 computes with. "
        + "It has avx2. Use a processor with AVX-512 (Intel Xeon since Skylake, AMD since Zen 4), or a run of such a class: "
        + "compute_class avx2 starts one, massl fork --run A --to B compute_class=avx2 goes on from another's checkpoint."
    )
    #expect(throws: ComputeClassError.lacking(.neon, missing: ["asimd"], available: [.avx2, .avx512])) {
      try Processor.check(.neon, features: Self.features(Self.skylake))
    }
  }
}
