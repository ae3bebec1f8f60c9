import Configuration
import Networks
import Numerics
import Testing
import Training

/// What is planted into a slice is what the watch names, and looking changes no bit.
@Suite struct NotFiniteTests {
  private func watch(
    _ run: SmallRun, student: NetworkWeights? = nil, teacher: NetworkWeights? = nil, blocks: [Factor]? = nil
  ) throws -> (sum: SliceSum, firstNotFinite: NotFinitePlace?) {
    try SliceComputer(run.definition).computeWatching(
      step: 0, slice: 1, student: student ?? run.weights, teacher: teacher ?? run.weights,
      blocks: blocks ?? run.blocks, into: FloatBuffer(count: run.definition.layout.count), bytes: SmallRun.jpeg)
  }

  /// The run's weights, one tensor's values all replaced.
  private func weights(_ run: SmallRun, _ tensor: String, _ value: Float) throws -> NetworkWeights {
    let weights = FloatBuffer(run.floats.array)
    let range = try #require(run.definition.layout[tensor]).range
    for index in range { weights[index] = value }
    return NetworkWeights(weights, run.definition.precision)
  }

  @Test(arguments: [false, true], SliceComputerTests.precisions)
  func lookingChangesNoBit(batchNorm: Bool, precision: PrecisionName) throws {
    let run = try SmallRun(batchNorm: batchNorm, koleo: 0.1, precision: precision)
    let (sum, first) = try watch(run)
    #expect(first == nil)
    #expect(try run.sum(slice: 1, by: SliceComputer(run.definition)).payloadDigest == sum.payloadDigest)
  }

  @Test func whatASliceIsGivenIsNamedFirst() throws {
    let run = try SmallRun()
    let name = "backbone.blocks.1.mlp.fc1.bias"
    let broken = try weights(run, name, .nan)
    #expect(try watch(run, student: broken).firstNotFinite == NotFinitePlace(part: .studentWeights, layer: name))
    #expect(try watch(run, teacher: broken).firstNotFinite == NotFinitePlace(part: .teacherWeights, layer: name))
    let block = FloatBuffer(run.blocks[2].array).matrix(rows: 16, columns: 16)
    block[5, 3] = .infinity
    let blocks = [run.blocks[0], run.blocks[1], Factor(block), run.blocks[3]]
    #expect(
      try watch(run, blocks: blocks).firstNotFinite == NotFinitePlace(part: .memory, layer: "block 2, position 5"))
  }

  /// Finite weights so large that the layer's products are not.
  @Test(
    arguments: [false, true],
    [
      ("backbone.patch_embed.proj.weight", "backbone.patch_embed.proj"),
      ("backbone.blocks.0.attn.qkv.weight", "backbone.blocks.0.attn.qkv"),
      ("backbone.blocks.1.mlp.fc1.weight", "backbone.blocks.1.mlp.fc1"),
      ("backbone.norm.weight", "backbone.norm"), ("head.mlp.0.weight", "head.mlp.0"),
    ])
  func theLayerThatOverflowsIsNamedWithViewAndPicture(
    batchNorm: Bool, layer: (tensor: String, name: String)
  ) throws {
    let run = try SmallRun(batchNorm: batchNorm)
    let huge = try weights(run, layer.tensor, 3e38)
    let pictures = run.definition.pictures(step: 0, slice: 1)
    for (part, place) in [
      (NotFinitePlace.Part.student, try watch(run, student: huge).firstNotFinite),
      (.teacher, try watch(run, teacher: huge).firstNotFinite),
    ] {
      let place = try #require(place)
      #expect(place.part == part && place.layer == layer.name && place.view == 0, "\(place)")
      #expect(pictures.contains(place.picture ?? -1))
    }
  }
}
