import Networks
import Numerics
import Testing

@Suite("Networks start as docs/method.md says, from the seed alone")
struct InitialParametersTests {
  private func network(depth: Int) throws -> (ParameterLayout, FloatBuffer) {
    let layout = ParameterLayout(
      try NetworkArchitecture(
        imageSize: 32, patchSize: 4, embedDim: 48, depth: depth, numHeads: 3, headHiddenDim: 200, bottleneckDim: 64,
        useBNInHead: true, registers: 4, layerScale: 0.25))
    return (layout, initialParameters(layout: layout, seed: 3))
  }

  @Test func eachTensorHasItsDistribution() throws {
    let (layout, parameters) = try network(depth: 2)
    for tensor in layout.tensors {
      let values = parameters.vector(at: tensor.range.lowerBound, count: tensor.range.count).array.map(Double.init)
      let mean = values.reduce(0, +) / Double(values.count)
      let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)).squareRoot()
      let largest = values.map(abs).max() ?? 0
      if tensor.name.hasPrefix("backbone.patch_embed.proj.") {
        let bound = 1 / 48.0.squareRoot()
        #expect(largest <= bound && largest > 0.9 * bound, "\(tensor.name)")
      } else if tensor.decays {
        let error = 5 * 0.02 / Double(values.count).squareRoot()
        #expect(abs(mean) < error && abs(deviation - 0.02) < error, "\(tensor.name): \(mean), \(deviation)")
        #expect(largest < 0.14)
      } else if tensor.name.hasSuffix(".gamma") {
        #expect(values.allSatisfy { $0 == 0.25 }, "\(tensor.name)")
      } else {
        #expect(values.allSatisfy { $0 == (tensor.name.hasSuffix(".weight") ? 1 : 0) }, "\(tensor.name)")
      }
    }
  }

  @Test func sameSeedSameBitsOtherSeedOthers() throws {
    let (layout, parameters) = try network(depth: 2)
    #expect(initialParameters(layout: layout, seed: 3).array == parameters.array)
    #expect(initialParameters(layout: layout, seed: 4).array != parameters.array)
  }

  @Test func tensorsOfOneShapeDiffer() throws {
    let (layout, parameters) = try network(depth: 2)
    let ranges = (0..<2).compactMap { layout["backbone.blocks.\($0).attn.qkv.weight"]?.range }
    let both = ranges.map { parameters.vector(at: $0.lowerBound, count: $0.count).array }
    #expect(both[0] != both[1])
  }

  @Test func deeperNetworksBeginAlike() throws {
    let (shallow, deep) = (try network(depth: 2), try network(depth: 3))
    let name = "backbone.blocks.1.mlp.fc1.weight"
    let (one, other) = (try #require(shallow.0[name]), try #require(deep.0[name]))
    #expect(
      shallow.1.vector(at: one.range.lowerBound, count: one.range.count).array
        == deep.1.vector(at: other.range.lowerBound, count: other.range.count).array)
  }

  @Test func statisticsStartAtMeanZeroVarianceOne() throws {
    let layout = StatisticsLayout(try NetworkCase(description: "BatchNorm", useBNInHead: true).architecture)
    let statistics = try #require(initialStatistics(layout: layout))
    for tensor in layout.tensors {
      let expected: Float = tensor.name.hasSuffix("running_var") ? 1 : 0
      #expect(tensor.range.allSatisfy { statistics[$0] == expected }, "\(tensor.name)")
    }
  }
}
