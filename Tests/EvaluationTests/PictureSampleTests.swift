import Configuration
import Evaluation
import Networks
import Numerics
import Testing
import Training
import Vision

/// Features of a fixed sample, whoever computes them and when.
@Suite struct PictureSampleTests {
  private let definition: RunDefinition
  private let weights: FloatBuffer

  init() throws {
    var configuration = RunConfiguration()
    (configuration.embedDim, configuration.depth, configuration.numHeads) = (16, 1, 2)
    (configuration.patchSize, configuration.imageSize, configuration.localSize) = (4, 8, 4)
    (configuration.batchSize, configuration.sliceSize, configuration.memorySize) = (8, 4, 64)
    (configuration.blockSize, configuration.headHiddenDim, configuration.bottleneckDim) = (16, 16, 8)
    configuration.warmupTeacherTempEpochs = 0
    definition = try RunDefinition(configuration: configuration, pictures: 100)
    weights = initialParameters(layout: definition.layout, seed: 3)
  }

  private static func jpeg(_ index: Int) -> [UInt8] {
    let pixels = (0..<20 * 16 * 3).map { UInt8(truncatingIfNeeded: ($0 * (index + 3)) >> 3 ^ $0) }
    return Picture(width: 20, height: 16, pixels: pixels).jpeg()
  }

  private func sample(_ pictures: [Int]) -> PictureSample {
    PictureSample(pictures: pictures, classes: pictures.map { $0 % 4 == 3 ? nil : $0 % 4 })
  }

  private func diagnose(_ sample: PictureSample, without missing: Set<Int> = []) throws -> FeatureDiagnostics {
    try sample.diagnose(definition, weights: weights) { indices in
      Dictionary(uniqueKeysWithValues: indices.filter { !missing.contains($0) }.map { ($0, Self.jpeg($0)) })
    }
  }

  @Test func aSampleIsDrawnOnceForAllAndNamesNoPictureTwice() {
    let drawn = PictureSample.drawn(40, of: 1000, seed: 7)
    #expect(drawn == PictureSample.drawn(40, of: 1000, seed: 7) && drawn != PictureSample.drawn(40, of: 1000, seed: 8))
    #expect(Set(drawn).count == 40 && drawn == drawn.sorted() && drawn.allSatisfy { 0..<1000 ~= $0 })
    #expect(PictureSample.drawn(512, of: 12, seed: 7) == Array(0..<12))
  }

  @Test func theSameWeightsHaveTheSameFigures() throws {
    let found = try diagnose(sample(Array(0..<37)))
    #expect(try diagnose(sample(Array(0..<37))) == found)
    #expect(found.pictures == 37 && found.asked == 28 && 0...28 ~= found.right)
    #expect(found.rankMe > 1 && found.rankMe <= 16.001 && found.lidar > 0 && found.lidar <= 16.001)
    // Of other weights they are others.
    weights.vector(at: 0, count: 1)[0] += 1
    #expect(try diagnose(sample(Array(0..<37))) != found)
  }

  @Test func whatCannotBeHadIsLeftOut() throws {
    let found = try diagnose(sample(Array(0..<37)), without: [3, 4, 20])
    #expect(found.pictures == 34)
    // As if the sample were without it, where its views are the same pictures'.
    let without = try diagnose(sample([0, 1, 2, 3, 4, 6, 7, 8]), without: [7])
    #expect(try diagnose(sample([0, 1, 2, 3, 4, 6, 8])).rankMe == without.rankMe)
    let broken = try sample([0, 2, 4, 6, 8]).diagnose(definition, weights: weights) { indices in
      Dictionary(uniqueKeysWithValues: indices.map { ($0, $0 == 4 ? [1, 2, 3] : Self.jpeg($0)) })
    }
    #expect(broken.pictures == 4)
    #expect(throws: DiagnosticsError.tooFewPictures(usable: 1, of: 2)) {
      try diagnose(sample([0, 2]), without: [2])
    }
  }

  @Test func featuresThatAreNotFiniteAreAnError() {
    let token = weights.vector(at: 0, count: 1)
    token[0] = .nan
    #expect(throws: DiagnosticsError.notFinite) { try diagnose(sample([0, 1, 2, 3, 4, 5])) }
  }

  @Test func itEndsOnceNobodyWantsIt() {
    struct Unwanted: Error {}
    var read = 0
    #expect(throws: Unwanted.self) {
      _ = try sample(Array(0..<64)).diagnose(
        definition, weights: weights,
        read: { indices in
          read += indices.count
          return Dictionary(uniqueKeysWithValues: indices.map { ($0, Self.jpeg($0)) })
        }, check: { if read >= 32 { throw Unwanted() } })
    }
    #expect(read == 32)
  }
}
