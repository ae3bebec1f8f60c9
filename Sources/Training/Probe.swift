import Configuration
import Networks
import MemoryBank
import Numerics
import Vision

/// The digest of a small fixed slice, of long products and of decoded pictures of each kind: two processes whose probes
/// are equal round alike.
///
/// Each process of a run computes it as it starts, in some 50 ms.
/// - Parameter precision: the run's. In bf16 the products of fp32 count too: some of a step's are.
/// - Throws: what making the fixed definition throws: nothing, in a build that works.
public func probeDigest(_ precision: PrecisionName = .fp32) throws -> Digest {
  var configuration = RunConfiguration()
  configuration.precision = precision
  configuration.embedDim = 96
  configuration.depth = 2
  configuration.numHeads = 3
  configuration.patchSize = 8
  configuration.imageSize = 48
  configuration.localSize = 24
  configuration.localCropsNumber = 2
  configuration.headHiddenDim = 128
  configuration.bottleneckDim = 64
  configuration.batchSize = 4
  configuration.sliceSize = 4
  configuration.epochs = 40
  configuration.memorySize = 512
  configuration.blockSize = 256
  let definition = try RunDefinition(configuration: configuration, pictures: 4)
  let computer = try SliceComputer(definition)
  let weights = NetworkWeights(
    initialParameters(layout: definition.layout, seed: configuration.seed), definition.precision)
  let blocks = definition.blockDraw(of: MemoryVersion(step: 0, rows: 0)).seededBlocks(definition.seededRows).map {
    $0.rounded(to: definition.precision)
  }
  var stream = RandomStream(RandomKey(seed: 1, purpose: .synthesis))
  let jpeg = Picture(width: 61, height: 57, pixels: (0..<61 * 57 * 3).map { _ in UInt8(stream.uniform() * 255) }).jpeg()
  let sum = try computer.compute(
    step: 0, slice: 0, student: weights, teacher: weights, blocks: blocks,
    into: FloatBuffer(count: definition.layout.count)
  ) { _ in jpeg }
  var parts = [sum.payloadDigest, productsProbe(), try decodingProbe()]
  if definition.precision == .bf16 { parts.append(productsProbe(.bf16)) }
  return Digest(of: parts.flatMap { Array("\($0)".utf8) })
}
