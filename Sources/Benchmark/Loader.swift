import Numerics
import Training
import Vision

/// `massl bench loader`: pictures from JPEG files to normalised views, beside decoding alone.
///
/// `@unchecked Sendable`: sampler and row number i are used by thread i alone; the rest is only read.
public final class Loader: @unchecked Sendable {
  private let definition: RunDefinition
  private let data: DataSet
  private let threads: Int
  private let samplers: [ViewSampler]
  private let rows: [FloatBuffer]
  /// Pictures a round.
  private let count: Int

  init(_ definition: RunDefinition, data: DataSet, threads: Int) {
    self.definition = definition
    self.data = data
    self.threads = threads
    count = min(data.count, 16 * threads * definition.configuration.sliceSize)
    let settings = ViewSettings(definition.configuration)
    let seed = definition.configuration.seed
    samplers = (0..<threads).map { _ in ViewSampler(settings: settings, seed: seed) }
    let side = max(definition.configuration.imageSize, definition.configuration.localSize)
    rows = (0..<threads).map { _ in FloatBuffer(count: 3 * side * side) }
  }

  public static func measure(_ definition: RunDefinition, data: DataSet, threads: Int, rounds: Int) throws -> Figure {
    let loader = Loader(definition, data: data, threads: threads)
    let seconds = try Timing.medians(rounds: rounds, [{ loader.run(cutting: false) }, { loader.run(cutting: true) }])
    let images = Double(loader.count) / seconds[1]
    return Figure(
      "loader", images, unit: "images/s",
      ceiling: .init("reading and decoding alone", Double(loader.count) / seconds[0]),
      digest: "\(loader.rows[0].digest)", imagesPerSecond: images, peakBytes: Timing.peakBytes)
  }

  private func run(cutting: Bool) {
    let next = Counter()
    let configuration = definition.configuration
    Timing.onThreads(threads) { [self] thread in
      var sampler = samplers[thread]
      while let index = next.next(below: count) {
        guard let bytes = try? data.read(index),
          let picture = try? Picture(file: bytes, upright: configuration.exifOrientation)
        else { continue }
        guard cutting else { continue }
        for view in 0..<configuration.viewsPerImage {
          let side = view < 2 ? configuration.imageSize : configuration.localSize
          sampler.writeView(
            view, of: picture, image: index, epoch: 0, into: rows[thread].vector(at: 0, count: 3 * side * side))
        }
      }
    }
  }
}
