import Configuration
import Testing

/// A run goes on with what it was started with, and with the changes that its keys' kinds allow.
struct ResumeTests {
  static func resumed(_ given: String..., changes: String...) throws -> RunConfiguration {
    try RunConfiguration().resumed(
      run: "runs/a", begun: RunConfiguration(), layers: [ConfigurationLayer(assignments: given)],
      changes: ConfigurationLayer(assignments: changes)
    )
  }

  @Test func whatIsNotGivenStaysAsSaved() throws {
    var saved = RunConfiguration()
    saved.lr = 0.125
    #expect(
      try saved.resumed(run: "runs/a", begun: RunConfiguration(), layers: [], changes: ConfigurationLayer()) == saved)
  }

  @Test func whatTheRunWasStartedWithIsNoWishToChangeItBack() throws {
    var saved = RunConfiguration()
    saved.epochs = 900
    let begun = RunConfiguration()
    let command = [try ConfigurationLayer(assignments: ["epochs=800", "lr=0.0005"])]
    #expect(
      try saved.resumed(run: "runs/a", begun: begun, layers: command, changes: ConfigurationLayer()).epochs == 900)
    let back = try ConfigurationLayer(assignments: ["epochs=800"])
    #expect(try saved.resumed(run: "runs/a", begun: begun, layers: command, changes: back).epochs == 800)
  }

  @Test func aFlagGoesOverTheRecipeHereToo() throws {
    let layers = [
      try ConfigurationLayer(recipe: "epochs: 40\n", file: "r.yaml"),
      try ConfigurationLayer(assignments: ["epochs=90"]),
    ]
    let begun = try RunConfiguration(layers: layers)
    let resumed = try begun.resumed(run: "runs/a", begun: begun, layers: layers, changes: ConfigurationLayer())
    #expect(resumed == begun)
  }

  @Test func operationalKeysAreFree() throws {
    #expect(try Self.resumed("keep_checkpoints=9").keepCheckpoints == 9)
  }

  @Test func trajectoryKeysChangeWhenAskedFor() throws {
    #expect(try Self.resumed("lr=0.001", changes: "lr=0.001").lr == 0.001)
    #expect(try Self.resumed(changes: "epochs=900").epochs == 900)
    expectSentences(
      "runs/a has lr 0.0005, not 0.001. Give --change lr=0.001 to change it from the newest checkpoint on."
    ) { try Self.resumed("lr=0.001") }
  }

  @Test func aRunIsBornWithTheMachinesClassUnlessItNamesOne() throws {
    #expect(RunConfiguration().born(in: .avx512).computeClass == .avx512)
    let named = try RunConfiguration(layers: [ConfigurationLayer(assignments: ["compute_class=avx2"])])
    #expect(named.born(in: .avx512) == named)
  }

  @Test func aClassThatIsLeftToMasslIsNoWishToChangeARuns() throws {
    let saved = RunConfiguration().born(in: .avx2)
    func resumed(_ given: String) throws -> RunConfiguration {
      try saved.resumed(
        run: "runs/a", begun: saved, layers: [ConfigurationLayer(assignments: [given])], changes: ConfigurationLayer())
    }
    #expect(try resumed("compute_class=auto") == saved)
    expectSentences(
      "runs/a was started with compute_class avx2, not avx512. Give compute_class avx2 to resume it, or another --run to "
        + "start afresh."
    ) { try resumed("compute_class=avx512") }
  }

  @Test func identityKeysNeverChangeAndAllThatDifferAreListed() {
    expectSentences(
      """
      runs/a was started with batch_size 128, not 64. Give batch_size 128 to resume it, or another --run to start afresh.
      runs/a was started with seed 0, not 5. Give seed 0 to resume it, or another --run to start afresh.
      """
    ) { try Self.resumed("batch_size=64", changes: "seed=5") }
  }
}
