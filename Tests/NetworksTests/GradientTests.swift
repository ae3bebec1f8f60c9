import Networks
import Numerics
import Testing

@Suite("Forward and backward agree with a naive network in Double")
struct GradientTests {
  /// Any loss will do: here the sum of the embeddings, weighted.
  private static func lossWeight(_ index: Int) -> Double { Double((index * 37) % 11) / 5 - 1 }

  @Test(arguments: NetworkCase.all)
  func everyTensorsGradientIsTheCentralDifference(_ test: NetworkCase) throws {
    let architecture = try test.architecture
    let (parameters, pixels, draw) = (try test.parameters(), test.pixels(), try test.draw())
    let run = try Run(architecture, test, maximumImages: test.images + 1)
    run.forward(pixels, parameters, draw)
    let layout = ParameterLayout(architecture)
    let gradient = FloatBuffer(count: layout.count)
    run.backward(parameters, gradient) { Float(Self.lossWeight($0)) }

    var naive = NaiveNetwork(architecture, parameters: parameters.array)
    let width = 3 * test.side * test.side
    let pictures = (0..<test.images).map { image in
      pixels.vector(at: image * width, count: width).array.map(Double.init)
    }
    let scales = test.scales()
    func embeddings() -> [Double] {
      naive.embeddings(naive.features(pictures, side: test.side, scales: scales)).flatMap { $0 }
    }
    func loss() -> Double { embeddings().enumerated().reduce(0) { $0 + Self.lossWeight($1.offset) * $1.element } }

    let furthest = zip(embeddings(), run.embeddings.array).map { abs($0 - Double($1)) }.max() ?? .infinity
    #expect(furthest < 5e-6, "embeddings differ by \(furthest)")
    let largestOfAll = gradient.array.map(abs).max() ?? 0
    for tensor in layout.tensors {
      let values = gradient.vector(at: tensor.range.lowerBound, count: tensor.range.count).array
      let bound = 1e-4 * Double(values.map(abs).max() ?? 0) + 1e-5 * Double(largestOfAll)
      // All elements of small tensors, some forty spread over large ones.
      for i in stride(from: 0, to: values.count, by: max(1, values.count / 40 | 1)) {
        let place = tensor.range.lowerBound + i
        let (value, step) = (naive.parameters[place], 1e-4)
        naive.parameters[place] = value + step
        let above = loss()
        naive.parameters[place] = value - step
        let below = loss()
        naive.parameters[place] = value
        let difference = (above - below) / (2 * step)
        #expect(
          abs(Double(values[i]) - difference) <= bound,
          "\(tensor.name)[\(i)]: \(values[i]), central difference \(difference)")
      }
    }
  }
}

/// One network on one group of pictures.
final class Run {
  let backbone: Backbone
  let head: ProjectionHead
  let workspace: BackboneWorkspace
  let headWorkspace: HeadWorkspace
  let test: NetworkCase
  let features: Matrix
  let embeddings: Matrix

  init(
    _ architecture: NetworkArchitecture, _ test: NetworkCase, maximumImages: Int, keepsActivations: Bool = true,
    precision: Precision = .fp32, memory: FloatBuffer? = nil
  ) throws {
    self.test = test
    backbone = Backbone(architecture)
    head = ProjectionHead(architecture)
    workspace = try BackboneWorkspace(
      architecture, maximumImages: maximumImages, side: test.side, keepsActivations: keepsActivations,
      precision: precision, memory: memory, rowsAtOnce: test.rowsAtOnce)
    headWorkspace = HeadWorkspace(
      architecture, maximumRows: maximumImages, keepsActivations: keepsActivations, precision: precision)
    features = FloatBuffer(count: test.images * architecture.embedDim)
      .matrix(rows: test.images, columns: architecture.embedDim)
    embeddings = FloatBuffer(count: test.images * architecture.bottleneckDim)
      .matrix(rows: test.images, columns: architecture.bottleneckDim)
  }

  func forward(
    _ pixels: FloatBuffer, _ parameters: FloatBuffer, _ draw: DropPathDraw?, statistics: FloatBuffer? = nil
  ) {
    let weights = NetworkWeights(parameters, workspace.precision)
    backbone.forward(
      pixels.matrix(rows: test.images, columns: 3 * test.side * test.side), weights: weights, draw: draw,
      workspace: workspace, into: features)
    head.forward(
      features, weights: weights, workspace: headWorkspace, into: embeddings, statistics: statistics)
  }

  func backward(_ parameters: FloatBuffer, _ gradient: FloatBuffer, lossWeight: (Int) -> Float) {
    let embeddingGradient = FloatBuffer((0..<embeddings.rows * embeddings.columns).map(lossWeight))
      .matrix(rows: embeddings.rows, columns: embeddings.columns)
    let featureGradient = FloatBuffer(count: features.rows * features.columns)
      .matrix(rows: features.rows, columns: features.columns)
    let weights = NetworkWeights(parameters, workspace.precision)
    head.backward(
      embeddingGradient, weights: weights, workspace: headWorkspace, into: featureGradient, gradient: gradient)
    backbone.backward(featureGradient, weights: weights, workspace: workspace, gradient: gradient)
  }
}
