import Foundation
import Networks
import Numerics
import Testing

@Suite("What the last block attends to")
struct LastAttentionTests {
  /// Against the network of loops; images pass in several tiles.
  @Test(arguments: [
    NetworkCase(description: "class token"), NetworkCase(description: "mean pooling", useMeanPooling: true),
    NetworkCase(description: "tiles", images: 5, rowsAtOnce: 10), NetworkCase(description: "another side", side: 12),
    NetworkCase(description: "registers", registers: 2, layerScale: 0.1),
    NetworkCase(description: "registers, mean pooling", useMeanPooling: true, registers: 3),
  ])
  func probabilitiesAreTheNaiveOnes(sample: NetworkCase) throws {
    let architecture = try sample.architecture
    let (parameters, pixels) = (try sample.parameters(), sample.pixels())
    let workspace = try BackboneWorkspace(
      architecture, maximumImages: sample.images, side: sample.side, keepsActivations: true,
      rowsAtOnce: sample.rowsAtOnce)
    let features = FloatBuffer(count: sample.images * architecture.embedDim)
      .matrix(rows: sample.images, columns: architecture.embedDim)
    Backbone(architecture).forward(
      pixels.matrix(rows: sample.images, columns: 3 * sample.side * sample.side),
      weights: NetworkWeights(parameters, .fp32), workspace: workspace, into: features)
    let naive = NaiveNetwork(architecture, parameters: parameters.array)
    let pictures = pixels.matrix(rows: sample.images, columns: 3 * sample.side * sample.side)
    for image in 0..<sample.images {
      let expected = naive.lastAttention(pictures.row(at: image).array.map(Double.init), side: sample.side)
      let found = workspace.lastAttention(ofImage: image)
      let queries = sample.useMeanPooling ? architecture.tokens(side: sample.side) : 1
      #expect(found.rows == architecture.numHeads * queries)
      for head in 0..<architecture.numHeads {
        for query in 0..<queries {
          let row = found.row(at: head * queries + query).array
          #expect(abs(row.reduce(0, +) - 1) < 1e-5)
          let difference = zip(row, expected[head][query]).map { abs(Double($0) - $1) }.max() ?? 1
          #expect(difference < 1e-5, "image \(image), head \(head), query \(query): \(difference)")
        }
      }
    }
  }
}

@Suite("A head that no longer learns")
struct FrozenHeadTests {
  private func rows(_ architecture: NetworkArchitecture, _ count: Int) -> Matrix {
    var stream = RandomStream(RandomKey(seed: 8, purpose: .synthesis))
    return FloatBuffer((0..<count * architecture.embedDim).map { _ in Float(stream.normal()) })
      .matrix(rows: count, columns: architecture.embedDim)
  }

  private func trained(_ architecture: NetworkArchitecture, _ parameters: FloatBuffer, _ features: Matrix) -> (
    Matrix, FloatBuffer?
  ) {
    let embeddings = FloatBuffer(count: features.rows * architecture.bottleneckDim)
      .matrix(rows: features.rows, columns: architecture.bottleneckDim)
    let statistics = architecture.useBNInHead ? FloatBuffer(count: StatisticsLayout(architecture).count) : nil
    ProjectionHead(architecture).forward(
      features, weights: NetworkWeights(parameters, .fp32),
      workspace: HeadWorkspace(architecture, maximumRows: features.rows, keepsActivations: false), into: embeddings,
      statistics: statistics)
    return (embeddings, statistics)
  }

  /// With the statistics of a batch in the running ones' place, it gives what the batch got.
  @Test(arguments: [false, true]) func isTheTrainedHeadWithItsStatisticsFixed(hasBatchNorm: Bool) throws {
    let sample = NetworkCase(description: "", useBNInHead: hasBatchNorm)
    let (architecture, parameters) = (try sample.architecture, try sample.parameters())
    let features = rows(architecture, 9)
    let (expected, statistics) = trained(architecture, parameters, features)
    if let statistics {
      // Running variances divide by 8, a batch's own by 9.
      let hidden = architecture.headHiddenDim
      for norm in 0..<2 {
        for index in 0..<hidden { statistics[(2 * norm + 1) * hidden + index] *= 8.0 / 9 }
      }
    }
    let head = FrozenHead(architecture, parameters, statistics: statistics)
    let found = head.embeddings(of: features)
    #expect(zip(found.array, expected.array).allSatisfy { abs($0 - $1) < 2e-5 })
    // One by itself as among others: to the last digits, for products of one row round otherwise.
    let alone = head.embeddings(of: features.rows(3..<4)).array
    #expect(zip(alone, found.row(at: 3).array).allSatisfy { abs($0 - $1) < 1e-5 })
  }
}
