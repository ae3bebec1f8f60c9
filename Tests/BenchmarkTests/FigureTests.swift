import Benchmark
import Configuration
import Foundation
import TestSupport
import Testing
import Training

/// Figures stand beside ceilings of the same run, and name the bits that were computed.
@Suite struct FigureTests {
  /// A network that is computed in milliseconds.
  private func definition(blockSize: Int = 32) throws -> RunDefinition {
    var configuration = RunConfiguration()
    (configuration.embedDim, configuration.depth, configuration.numHeads) = (24, 1, 3)
    (configuration.patchSize, configuration.imageSize, configuration.localSize) = (4, 16, 8)
    (configuration.localCropsNumber, configuration.headHiddenDim, configuration.bottleneckDim) = (2, 32, 16)
    (configuration.batchSize, configuration.sliceSize) = (6, 2)
    (configuration.memorySize, configuration.blockSize) = (64, blockSize)
    return try RunDefinition(configuration: configuration, pictures: 6)
  }

  @Test func aStepHasTheSameBitsOnOneThreadAndOnThree() throws {
    func digest(_ definition: RunDefinition, threads: Int) throws -> String {
      let step = try WholeStep(definition, threads: threads)
      step.run()
      step.run()
      return step.digest
    }
    let one = try digest(definition(), threads: 1)
    #expect(try digest(definition(), threads: 3) == one)
    #expect(try digest(definition(blockSize: 16), threads: 1) != one)
  }

  @Test func productsHaveTheShapesThatTheStepHas() throws {
    // Two local crops, though a group would take ten: 2 views x 2 pictures x 5 tokens.
    let figures = try MatrixProducts.measure(definition(), threads: 1, rounds: 1)
    #expect(
      figures.prefix(3).map(\.name) == [
        "qkv, global views 68x24x72", "qkv, local views 20x24x72", "mlp, global views 68x24x96",
      ])
  }

  @Test func jsonHasTheFieldsThatProgramsLookFor() throws {
    var figure = Figure("step", 60, unit: "GFLOP/s", ceiling: .init("sgemm", 80))
    figure.imagesPerSecond = 12
    figure.peakBytes = 1 << 20
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let object = try #require(
      JSONSerialization.jsonObject(with: encoder.encode(figure)) as? [String: Any])
    #expect(object["images_per_second"] as? Double == 12)
    #expect(object["peak_bytes"] as? Int == 1 << 20)
    #expect(object["ceiling_ratio"] as? Double == 0.75)
  }

  @Test func shardsServeTheSameRowsFromADirectoryThatIsUsedAgain() throws {
    var configuration = try definition().configuration
    configuration.extentRows = 256
    try withTemporaryDirectory { folder in
      func measure(_ name: String, shards: Int) throws -> [Figure] {
        try RowServing.measure(
          configuration, rows: 2_000, shards: shards, in: "\(folder)/\(name)", threads: 2, rounds: 1)
      }
      let one = try measure("a", shards: 1)
      #expect(one.count == 1 && one[0].value > 0 && one[0].ceiling?.name == "raw ZeroMQ")
      let file = "\(folder)/a/shard-0/rows-000000000256"
      let written = try FileManager.default.attributesOfItem(atPath: file)[.modificationDate] as? Date
      #expect(try measure("a", shards: 1)[0].digest == one[0].digest)
      #expect(try FileManager.default.attributesOfItem(atPath: file)[.modificationDate] as? Date == written)
      let two = try measure("b", shards: 2)
      #expect(two.map { $0.ceiling?.name } == ["raw ZeroMQ", "1 shard"])
      #expect(two[0].digest != one[0].digest)
    }
  }

  @Test func framesCrossLoopbackThroughOwnSocketsAndBareOnes() throws {
    let figures = try LoopbackTraffic.measure(rounds: 1)
    #expect(figures.map { $0.ceiling?.name } == ["raw ZeroMQ", "raw TCP"])
    #expect(figures.allSatisfy { $0.value > 0 && $0.ceiling?.value ?? 0 > 0 })
  }
}
