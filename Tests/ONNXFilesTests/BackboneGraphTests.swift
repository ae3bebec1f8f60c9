import Networks
import Numerics
import ONNXFiles
import Testing

/// A backbone as a file of ONNX, read back and run by the operators' definitions.
@Suite struct BackboneGraphTests {
  private static func architecture(
    meanPooling: Bool = false, registers: Int = 0, layerScale: Float = 0
  ) throws -> NetworkArchitecture {
    try NetworkArchitecture(
      imageSize: 16, patchSize: 4, embedDim: 12, depth: 2, numHeads: 3, headHiddenDim: 8, bottleneckDim: 8,
      useMeanPooling: meanPooling, registers: registers, layerScale: layerScale)
  }

  /// No tensor is 0 or 1 all over, as biases and norms of new networks are.
  private static func weights(_ layout: ParameterLayout) -> FloatBuffer {
    let weights = initialParameters(layout: layout, seed: 4)
    for index in 0..<weights.count { weights.vector[index] += 0.3 * Float((index * 37) % 41 - 20) / 20 }
    return weights
  }

  private static func pixels(_ images: Int, _ side: Int) -> [Float] {
    (0..<images * 3 * side * side).map { Float(($0 * 29) % 61) / 30 - 1 }
  }

  private static func features(
    _ architecture: NetworkArchitecture, _ weights: FloatBuffer, _ pixels: [Float], images: Int, side: Int
  ) throws -> [Float] {
    let input = FloatBuffer(count: pixels.count)
    for (index, pixel) in pixels.enumerated() { input.vector[index] = pixel }
    let output = FloatBuffer(count: images * architecture.embedDim)
    let workspace = try BackboneWorkspace(
      architecture, maximumImages: images, side: side, keepsActivations: false)
    Backbone(architecture).forward(
      input.matrix(rows: images, columns: 3 * side * side), weights: NetworkWeights(weights, .fp32),
      workspace: workspace, into: output.matrix(rows: images, columns: architecture.embedDim))
    return (0..<output.count).map { output.vector[$0] }
  }

  /// Batches and sizes of pictures other than the trained one, larger and smaller.
  @Test(arguments: [(false, 0), (true, 0), (false, 4), (true, 2)], [(1, 16), (3, 16), (2, 8), (1, 28)])
  func featuresAreMassls(network: (meanPooling: Bool, registers: Int), _ batch: (images: Int, side: Int)) throws {
    let architecture = try Self.architecture(
      meanPooling: network.meanPooling, registers: network.registers, layerScale: network.registers > 0 ? 0.5 : 0)
    let layout = ParameterLayout(architecture)
    let weights = Self.weights(layout)
    let graph = try ONNXInterpreter(BackboneGraph(layout, weights: weights, metadata: [:]).bytes())
    let (images, side) = batch
    let pixels = Self.pixels(images, side)
    let values = try graph.run(
      ["pictures": .init(shape: [images, 3, side, side], values: pixels.map(Double.init))])
    let found = try #require(values["features"])
    let expected = try Self.features(architecture, weights, pixels, images: images, side: side)
    #expect(found.shape == [images, 12])
    let largest = zip(found.values, expected).map { abs($0 - Double($1)) }.max() ?? .infinity
    #expect(largest < 2e-5, "\(largest)")
    let patches = side / 4 * (side / 4)
    #expect(values["tokens"]?.shape == [images, 1 + network.registers + patches, 12])
  }

  @Test func theFileSaysWhatItTakesAndGives() throws {
    let layout = ParameterLayout(try Self.architecture())
    let graph = try BackboneGraph(
      layout, weights: Self.weights(layout), metadata: ["mean": "0.5 0.4 0.3", "step": "7"])
    let file = try ONNXInterpreter(graph.bytes())
    #expect(file.inputs == ["pictures": ["batch", "3", "height", "width"]])
    #expect(file.outputs == ["features": ["batch", "12"], "tokens": ["batch", "tokens", "12"]])
    #expect(file.metadata == ["mean": "0.5 0.4 0.3", "step": "7"])
    #expect(file.versions == [8, 17])
    #expect(graph.tensors == layout.backboneTensors.count)
    // Every weight, by timm's name, and each as it is.
    for (name, tensor) in layout.backboneTensors {
      let constant = try #require(file.constants[name], "\(name)")
      #expect(constant.shape == tensor.shape)
      #expect(constant.values == tensor.range.map { Double(Self.weights(layout).vector[$0]) }, "\(name)")
    }
  }

  @Test func whatDoesNotFitInAFileIsRefused() throws {
    let layout = ParameterLayout(try Self.architecture())
    let weights = FloatBuffer(count: layout.count)
    #expect(throws: ONNXError.self) { try BackboneGraph(layout, weights: weights, metadata: [:], limit: 1 << 24) }
    let words = "\(ONNXError.tooLarge(bytes: 4_000_000_000, limit: 1 << 31))"
    #expect(
      words.contains("4000000000 bytes") && words.contains("less than 2147483648") && words.contains("--format timm"))
  }
}
