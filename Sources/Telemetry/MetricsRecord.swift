import Foundation

/// What is recorded of a step: one line of `metrics.jsonl`, one JSON object.
public struct MetricsRecord: StepRecord, Equatable, Decodable {
  /// Steps done, this one included.
  public var step: Int
  /// Passes over the data set done, this step included.
  public var epoch: Double
  /// Mean over the batch: `consistency` + `koleo`.
  public var loss: Double
  /// The consistency loss's part: cross-entropy between the teacher's targets and the student's guesses, in nats.
  public var consistency: Double
  /// KoLeo's part, its weight included; 0 without it.
  public var koleo: Double
  /// Mean entropy of the teacher's targets, in nats: near the logarithm of `block_size` they say nothing, near 0 they all
  /// point at one row.
  public var targetEntropy: Double
  /// How far apart the step's new memory rows are: 1 when spread evenly over the sphere, 0 when all are the same. Nil in
  /// records of older versions.
  public var embeddingSpread: Double?
  /// Of the rows in memory, the share that was ever the nearest to a teacher view, 0...1. Nil for a while after a resume,
  /// until every row has come since.
  public var chosenShare: Double?
  public var lr: Double
  public var weightDecay: Double
  public var momentumTeacher: Double
  public var teacherTemp: Double
  /// Norm of the whole gradient before clipping.
  public var gradientNorm: Double
  public var imagesPerSecond: Double
  /// Workers that took part.
  public var workers: Int
  /// Rows enqueued since the run began.
  public var memoryRows: Int
  /// Seconds that the coordinator took from the step's last gradient to the new weights. Nil in records of older versions.
  public var updateSeconds: Double?
  /// Stored memory rows of the workers' blocks that were in their caches, and that they fetched. Nil in records of older
  /// versions, as the next one.
  public var rowsCached: Int?
  public var rowsFetched: Int?
  /// Seconds for which the worker that waited longest could not begin the step for want of rows.
  public var rowWaitSeconds: Double?
  /// Seconds in which the step's weights came to the worker that waited longest for them. Nil in records of older versions.
  public var weightsSeconds: Double?
  /// Seconds in which gradients that stayed with their workers were added up. Nil where they were added as they came.
  public var reduceSeconds: Double?
  /// Pictures that were found not to decode, and those that cannot be read any more. Nil in records of older versions.
  public var undecodablePictures: Int?
  public var lostPictures: Int?
  /// Seconds since 1970. Older versions call it `time`.
  public var unixSeconds: Double
  /// What people should look into, as of this step: a run that seems to collapse. Nil if there is nothing, and in records
  /// of older versions.
  public var warning: String?
  /// Norms of the gradient before clipping, layer by layer, each under a key of its own: "gradient_norm/blocks.0". Of one
  /// step in `stepsPerLayerNorms`, else none.
  public var layerGradientNorms: [LayerNorm] = []

  public static let stepsPerLayerNorms = 10
  private static let layerNormPrefix = "gradient_norm/"

  public struct LayerNorm: Sendable, Equatable {
    public var layer: String
    public var norm: Double

    public init(layer: String, norm: Double) {
      self.layer = layer
      self.norm = norm
    }
  }

  private enum CodingKeys: CodingKey {
    case step, epoch, loss, consistency, koleo, targetEntropy, embeddingSpread, chosenShare, lr, weightDecay
    case momentumTeacher, teacherTemp, gradientNorm, imagesPerSecond, workers, memoryRows, updateSeconds, rowsCached
    case rowsFetched, rowWaitSeconds, weightsSeconds, reduceSeconds, undecodablePictures, lostPictures, unixSeconds
    case warning
  }

  public init(
    step: Int, epoch: Double, loss: Double, consistency: Double, koleo: Double, targetEntropy: Double,
    embeddingSpread: Double?, chosenShare: Double?, lr: Double, weightDecay: Double, momentumTeacher: Double,
    teacherTemp: Double, gradientNorm: Double, imagesPerSecond: Double,
    workers: Int, memoryRows: Int, updateSeconds: Double?, rowsCached: Int?, rowsFetched: Int?,
    rowWaitSeconds: Double?, weightsSeconds: Double?, reduceSeconds: Double? = nil, unixSeconds: Double,
    warning: String? = nil, layerGradientNorms: [LayerNorm] = []
  ) {
    self.step = step
    self.epoch = epoch
    self.loss = loss
    self.consistency = consistency
    self.koleo = koleo
    self.targetEntropy = targetEntropy
    self.embeddingSpread = embeddingSpread
    self.chosenShare = chosenShare
    self.lr = lr
    self.weightDecay = weightDecay
    self.momentumTeacher = momentumTeacher
    self.teacherTemp = teacherTemp
    self.gradientNorm = gradientNorm
    self.imagesPerSecond = imagesPerSecond
    self.workers = workers
    self.memoryRows = memoryRows
    self.updateSeconds = updateSeconds
    self.rowsCached = rowsCached
    self.rowsFetched = rowsFetched
    self.rowWaitSeconds = rowWaitSeconds
    self.weightsSeconds = weightsSeconds
    self.reduceSeconds = reduceSeconds
    self.unixSeconds = unixSeconds
    self.warning = warning
    self.layerGradientNorms = layerGradientNorms
  }

  /// The record as one line, without its newline. `step` comes first, for `MetricsWriter` looks for it there.
  public func json() -> String {
    var numbers: [(String, Double)] = [
      ("epoch", epoch), ("loss", loss), ("consistency", consistency), ("koleo", koleo),
      ("target_entropy", targetEntropy), ("embedding_spread", embeddingSpread ?? .nan),
      ("chosen_share", chosenShare ?? .nan), ("lr", lr), ("weight_decay", weightDecay),
      ("momentum_teacher", momentumTeacher), ("teacher_temp", teacherTemp), ("gradient_norm", gradientNorm),
      ("images_per_second", imagesPerSecond), ("update_seconds", updateSeconds ?? .nan),
      ("row_wait_seconds", rowWaitSeconds ?? .nan), ("weights_seconds", weightsSeconds ?? .nan),
      ("reduce_seconds", reduceSeconds ?? .nan),
    ]
    for layer in layerGradientNorms { numbers.append((Self.layerNormPrefix + layer.layer, layer.norm)) }
    // JSON has no infinities and no NaN.
    let fields = numbers.map { "\"\($0)\":\($1.isFinite ? "\($1)" : "null")" }
    let rows = [
      ("rows_cached", rowsCached), ("rows_fetched", rowsFetched), ("undecodable_pictures", undecodablePictures),
      ("lost_pictures", lostPictures),
    ]
    .map { "\"\($0)\":\($1.map(String.init) ?? "null")" }.joined(separator: ",")
    let tail = "\"workers\":\(workers),\"memory_rows\":\(memoryRows),\(rows),\"unix_seconds\":\(unixSeconds)"
    let words = warning.flatMap { try? JSONEncoder().encode($0) }.map { String(decoding: $0, as: UTF8.self) } ?? "null"
    return "{\"step\":\(step),\(fields.joined(separator: ",")),\(tail),\"warning\":\(words)}"
  }
}

// MARK: - Reading

extension MetricsRecord {
  /// A line holds a few hundred bytes.
  private static let tail = 16_384

  /// The last whole record of a `metrics.jsonl`; nil if there is none that can be read.
  public static func newest(inFile path: String) -> MetricsRecord? {
    guard let file = FileHandle(forReadingAtPath: path), let size = try? file.seekToEnd() else { return nil }
    defer { try? file.close() }
    try? file.seek(toOffset: size > tail ? size - UInt64(tail) : 0)
    guard let bytes = try? file.readToEnd() else { return nil }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .custom { Name($0[$0.count - 1]) }
    for line in bytes.split(separator: UInt8(ascii: "\n")).reversed() {
      if var record = try? decoder.decode(MetricsRecord.self, from: line) {
        record.layerGradientNorms = (try? JSONDecoder().decode(LayerNorms.self, from: line))?.norms ?? []
        return record
      }
    }
    return nil
  }

  /// Those among a record's keys that are a layer's.
  private struct LayerNorms: Decodable {
    let norms: [LayerNorm]

    init(from decoder: any Decoder) throws {
      let record = try decoder.container(keyedBy: Name.self)
      norms = try record.allKeys.filter { $0.stringValue.hasPrefix(layerNormPrefix) }.compactMap { key in
        try record.decodeIfPresent(Double.self, forKey: key).map {
          LayerNorm(layer: String(key.stringValue.dropFirst(layerNormPrefix.count)), norm: $0)
        }
      }.sorted { $0.layer.compare($1.layer, options: .numeric) == .orderedAscending }
    }
  }

  /// `embedding_spread` is `embeddingSpread`; `time` is what `unix_seconds` was called before it said its unit.
  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ key: any CodingKey) {
      let words = key.stringValue.split(separator: "_")
      let name = words.prefix(1) + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }
      stringValue = key.stringValue == "time" ? "unixSeconds" : name.joined()
    }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
