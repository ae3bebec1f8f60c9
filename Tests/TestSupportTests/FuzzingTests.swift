import TestSupport
import Testing

/// The machinery of the fuzz tests finds what it is there for.
struct FuzzingTests {
  private struct Refusal: Error {}
  private static let corpus = [Array("batch_size: 64".utf8), Array(0..<200)]

  @Test func anInputIsAFunctionOfItsSeed() {
    let mutator = Mutator(corpus: Self.corpus)
    var (same, different) = (SplitMix64(seed: 3), SplitMix64(seed: 3))
    let inputs = (0..<1000).map { _ in mutator.input(&same) }
    #expect(inputs == (0..<1000).map { _ in mutator.input(&different) })
    #expect(Set(inputs).count > 900)
    #expect(inputs.contains { $0.isEmpty } && inputs.contains { $0.count > 1000 } && inputs.contains(Self.corpus[0]))
    #expect(inputs.allSatisfy { $0.count <= 1 << 16 })
  }

  @Test func whatIsNeitherAcceptedNorRefusedIsNamedWithItsSeed() {
    struct Other: Error {}
    let fuzzing = Fuzzing("example", percent: 10, filter: "ExampleTests")
    var count = 0
    let report = fuzzing.run(corpus: Self.corpus, refusing: { $0 is Refusal }) { input, _ in
      count += 1
      if count == 7 { throw Other() }
      if count == 8 { throw Fuzzing.Mistake("was accepted") }
      if input.isEmpty { throw Refusal() }
    }
    #expect(report.failures.count == min(2, count / 4))
    if report.isWhole {
      #expect(report.failures[1].contains("was accepted. Again: MASSL_FUZZ_SEED="))
      #expect(report.failures[1].hasSuffix("swift test -c release --disable-testable-imports --filter ExampleTests"))
    }
  }

  @Test func aCrashNamesItsSeed() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      var count = 0
      _ = Fuzzing("example", percent: 10, filter: "ExampleTests").run(corpus: [[1, 2, 3]], refusing: { _ in true }) {
        _, _ in
        count += 1
        if count == 43 { fatalError("crashed") }
      }
    }
    let errors = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(errors.contains("Again: MASSL_FUZZ_SEED=00000000000000000042 swift test"), "\(errors.prefix(400))")
  }

  @Test func aFullStackNamesItsSeed() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      @inline(never) func deep(_ level: Int) -> Int {
        level < 0
          ? 0
          : withUnsafeTemporaryAllocation(byteCount: 100, alignment: 8) {
            $0[0] = 1; return deep(level + 1) + Int($0[0])
          }
      }
      _ = Fuzzing("example", percent: 10, filter: "ExampleTests").run(corpus: [[1, 2, 3]], refusing: { _ in true }) {
        _, _ in
        if deep(1) == 0 { throw Refusal() }
      }
    }
    let errors = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(errors.contains("Again: MASSL_FUZZ_SEED=00000000000000000000 swift test"), "\(errors.prefix(400))")
  }

  @Test func aHangNamesItsSeed() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      var count = 0
      _ = Fuzzing("example", percent: 10, filter: "ExampleTests", secondsAtMost: 0.5).run(
        corpus: [[1, 2, 3]], refusing: { _ in true }
      ) { _, random in
        count += 1
        while count == 8 { _ = random.next() }
      }
    }
    let errors = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(errors.contains("seed 7 takes more than 0.5 s. Again: MASSL_FUZZ_SEED=7 "), "\(errors.prefix(400))")
  }
}
