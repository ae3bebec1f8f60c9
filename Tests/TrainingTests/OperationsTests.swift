import Configuration
import Testing
import Training

/// Operations an image are those of the published method, counted by hand for two networks.
@Suite struct OperationsTests {
  @Test func aSmallVisionTransformerTakes124GFLOPAnImage() throws {
    var configuration = RunConfiguration()
    (configuration.embedDim, configuration.depth, configuration.numHeads) = (384, 12, 6)
    (configuration.patchSize, configuration.imageSize, configuration.localSize) = (16, 224, 96)
    configuration.localCropsNumber = 10
    (configuration.batchSize, configuration.sliceSize) = (4, 2)
    (configuration.memorySize, configuration.blockSize) = (131_072, 16_384)
    let definition = try RunDefinition(configuration: configuration, pictures: 4)
    #expect(abs(definition.operationsPerImage / 1e9 - 124.2) < 0.1)
  }

  @Test func fourBlocksOn32PixelsTake3GFLOPAnImageAndFewBlocksLess() throws {
    var configuration = RunConfiguration()
    (configuration.embedDim, configuration.depth, configuration.numHeads) = (192, 4, 3)
    (configuration.patchSize, configuration.imageSize, configuration.localSize) = (4, 32, 16)
    configuration.localCropsNumber = 4
    (configuration.batchSize, configuration.sliceSize) = (64, 32)
    (configuration.memorySize, configuration.blockSize) = (8192, 1024)
    let definition = try RunDefinition(configuration: configuration, pictures: 64)
    #expect(abs(definition.operationsPerImage / 1e9 - 2.95) < 0.01)

    // A register takes what a patch does in the blocks, and no convolution. Eight passes of global views, twelve of local.
    configuration.registers = 3
    let registers = try RunDefinition(configuration: configuration, pictures: 64)
    func blocks(_ tokens: Double) -> Double { 4 * 2 * (12 * tokens * 192 * 192 + 2 * tokens * tokens * 192) }
    let more = 8 * (blocks(68) - blocks(65)) + 12 * (blocks(20) - blocks(17))
    #expect(abs(registers.operationsPerImage - definition.operationsPerImage - more) < 1)
    configuration.registers = 0

    configuration.blocksPerStep = 1
    let oneBlock = try RunDefinition(configuration: configuration, pictures: 64)
    #expect(oneBlock.lossOperationsPerImage * 8 == definition.lossOperationsPerImage)
  }
}
