import Networks
import Numerics
import Testing

@Suite("A workspace changes no bits: neither what it keeps, nor what it held before, nor its room to spare")
struct WorkspaceTests {
  @Test(arguments: NetworkCase.all)
  func keepingNothingGivesTheSameEmbeddings(_ test: NetworkCase) throws {
    let (architecture, parameters, pixels) = (try test.architecture, try test.parameters(), test.pixels())
    let embeddings = try [true, false].map { keeps in
      let run = try Run(architecture, test, maximumImages: test.images, keepsActivations: keeps)
      run.forward(pixels, parameters, try test.draw())
      return run.embeddings.array
    }
    #expect(embeddings[0] == embeddings[1])
  }

  @Test(arguments: NetworkCase.all, OneDNN.isUsable ? [Precision.fp32, .bf16] : [.fp32])
  func usedMemoryGivesTheSameGradient(_ test: NetworkCase, precision: Precision) throws {
    let (architecture, parameters, pixels) = (try test.architecture, try test.parameters(), test.pixels())
    let count = ParameterLayout(architecture).count
    let floats = BackboneWorkspace.floatCount(
      architecture, maximumImages: test.images + 3, side: test.side, keepsActivations: true, precision: precision,
      rowsAtOnce: test.rowsAtOnce)
    let gradients = try [(test.images, false), (test.images + 3, true)].map { maximumImages, isUsed in
      let memory = FloatBuffer(count: floats)
      if isUsed { fill(memory.vector, with: .nan) }
      let run = try Run(architecture, test, maximumImages: maximumImages, precision: precision, memory: memory)
      let gradient = FloatBuffer(count: count)
      run.forward(pixels, parameters, try test.draw())
      run.backward(parameters, gradient) { Float($0 % 5) - 2 }
      return gradient.array
    }
    #expect(gradients[0] == gradients[1])
  }

  @Test func whatATileOverwritesIsATiles() throws {
    let architecture = try NetworkCase(description: "as published").architecture
    func floats(images: Int, keepsActivations: Bool) -> Int {
      BackboneWorkspace.floatCount(
        architecture, maximumImages: images, side: 9, keepsActivations: keepsActivations, rowsAtOnce: 20)
    }
    // Two images of ten tokens pass at once: with nothing kept, a hundred take what two take.
    #expect(floats(images: 100, keepsActivations: false) == floats(images: 2, keepsActivations: false))
    #expect(floats(images: 100, keepsActivations: true) < 50 * floats(images: 2, keepsActivations: true))
  }

  @Test func gradientsAreAddedTo() throws {
    let test = NetworkCase(description: "BatchNorm head", useBNInHead: true)
    let (architecture, parameters, pixels) = (try test.architecture, try test.parameters(), test.pixels())
    let run = try Run(architecture, test, maximumImages: test.images)
    let gradient = FloatBuffer(count: ParameterLayout(architecture).count)
    run.forward(pixels, parameters, nil)
    run.backward(parameters, gradient) { Float($0 % 5) - 2 }
    let once = gradient.array
    run.forward(pixels, parameters, nil)
    run.backward(parameters, gradient) { Float($0 % 5) - 2 }
    let largest = once.map(abs).max() ?? 0
    #expect(zip(once, gradient.array).allSatisfy { abs(2 * $0 - $1) <= 1e-5 * largest })
  }

  @Test func statisticsAreTheBatchsMeansAndUnbiasedVariances() throws {
    let test = NetworkCase(description: "BatchNorm head", images: 5, useBNInHead: true)
    let (architecture, parameters) = (try test.architecture, try test.parameters())
    let run = try Run(architecture, test, maximumImages: test.images)
    let layout = StatisticsLayout(architecture)
    let statistics = FloatBuffer(count: layout.count)
    run.forward(test.pixels(), parameters, nil, statistics: statistics)
    let parameterLayout = ParameterLayout(architecture)
    let weight = try #require(parameterLayout["head.mlp.0.weight"]).range.lowerBound
    let bias = try #require(parameterLayout["head.mlp.0.bias"]).range.lowerBound
    let mean = try #require(layout["head.mlp.1.running_mean"]).range.lowerBound
    let variance = try #require(layout["head.mlp.1.running_var"]).range.lowerBound
    for unit in 0..<architecture.headHiddenDim {
      let products = (0..<test.images).map { row in
        (0..<architecture.embedDim).reduce(parameters[bias + unit]) {
          $0 + parameters[weight + unit * architecture.embedDim + $1] * run.features[row, $1]
        }
      }
      let expected = products.reduce(0, +) / 5
      let spread = products.reduce(0) { $0 + ($1 - expected) * ($1 - expected) } / 4
      #expect(abs(statistics[mean + unit] - expected) < 1e-5)
      #expect(abs(statistics[variance + unit] - spread) < 1e-5 * max(1, spread))
    }
  }

  @Test func sidesThatPatchesDoNotDivideAreRefused() throws {
    let architecture = try NetworkCase(description: "plain").architecture
    #expect(throws: NetworkError.unevenPatches(side: 10, patchSize: 3)) {
      try BackboneWorkspace(architecture, maximumImages: 1, side: 10, keepsActivations: false)
    }
  }
}
