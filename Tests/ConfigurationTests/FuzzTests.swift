import Configuration
import Foundation
import TestSupport
import Testing

@Suite("Foreign bytes are a recipe, or are refused")
struct FuzzTests {
  @Test func recipes() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: RecipeTests.folder.path)
    var corpus = try names.filter { $0.hasSuffix(".yaml") }.sorted().map {
      [UInt8](try Data(contentsOf: RecipeTests.folder.appending(path: $0)))
    }
    corpus += [Array(RunConfiguration().yaml().utf8), Array(RunConfiguration().json().utf8)]
    try withTemporaryDirectory { root in
      let path = "\(root)/recipe.yaml"
      let report = Fuzzing("recipes", percent: 15, filter: "ConfigurationTests.FuzzTests").run(
        corpus: corpus, refusing: { $0 is ConfigurationError }
      ) { input, random in
        try Data(input).write(to: URL(fileURLWithPath: path))
        let configuration = try RunConfiguration(layers: [ConfigurationLayer(recipeAt: path)])
        let again = try ConfigurationLayer(recipe: configuration.yaml(), file: path)
        guard try RunConfiguration(layers: [again]) == configuration else {
          throw Fuzzing.Mistake("became another configuration when written again")
        }
        _ = configuration.warnings()
        let pictures = [0, 1, 1000, RunConfiguration.picturesAtMost, .max][random.below(5)]
        try configuration.check(pictures: pictures)
        guard configuration.scheduledSteps(pictures: pictures) >= configuration.lastStep(pictures: pictures) else {
          throw Fuzzing.Mistake("the run ends after its schedules")
        }
      }
      #expect(report.failures == [])
      #expect(!report.isWhole || report.accepted > 0 && report.refused > report.accepted)
    }
  }
}
