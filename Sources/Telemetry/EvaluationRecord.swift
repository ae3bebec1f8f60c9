import Foundation

/// How good a step's features are, as far as a sample of pictures tells: one line of `evaluations.jsonl`, one JSON object.
public struct EvaluationRecord: Sendable, Equatable, Codable {
  /// Steps done when the teacher had these weights.
  public var step: Int
  /// In how many directions the features differ: 1 when they are all alike, at most the backbone's width.
  public var rankMe: Double
  /// In how many directions pictures differ more than views of one picture do.
  public var lidar: Double
  /// Exponent of the spectrum's decay.
  public var alphaReQ: Double
  /// Accuracy of k-NN where each picture of the sample is asked and the others vote. Nil without folders of classes.
  public var knn: Double?
  /// Pictures of the sample that could be used.
  public var pictures: Int
  /// From the question to a worker to its answer.
  public var seconds: Double
  /// Seconds since 1970.
  public var unixSeconds: Double

  public init(
    step: Int, rankMe: Double, lidar: Double, alphaReQ: Double, knn: Double?, pictures: Int, seconds: Double,
    unixSeconds: Double
  ) {
    self.step = step
    self.rankMe = rankMe
    self.lidar = lidar
    self.alphaReQ = alphaReQ
    self.knn = knn
    self.pictures = pictures
    self.seconds = seconds
    self.unixSeconds = unixSeconds
  }

  private enum CodingKeys: CodingKey {
    case step, rankMe, lidar, alphaReq, knn, pictures, seconds, unixSeconds
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    step = try container.decode(Int.self, forKey: .step)
    rankMe = try container.decode(Double.self, forKey: .rankMe)
    lidar = try container.decode(Double.self, forKey: .lidar)
    alphaReQ = try container.decode(Double.self, forKey: .alphaReq)
    knn = try container.decodeIfPresent(Double.self, forKey: .knn)
    pictures = try container.decode(Int.self, forKey: .pictures)
    seconds = try container.decode(Double.self, forKey: .seconds)
    unixSeconds = try container.decode(Double.self, forKey: .unixSeconds)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(step, forKey: .step)
    try container.encode(rankMe, forKey: .rankMe)
    try container.encode(lidar, forKey: .lidar)
    try container.encode(alphaReQ, forKey: .alphaReq)
    try container.encode(knn, forKey: .knn)
    try container.encode(pictures, forKey: .pictures)
    try container.encode(seconds, forKey: .seconds)
    try container.encode(unixSeconds, forKey: .unixSeconds)
  }
}

// MARK: - As a line

extension EvaluationRecord: StepRecord {
  public func json() -> String {
    let fields: [(String, Double?)] = [
      ("rank_me", rankMe), ("lidar", lidar), ("alpha_req", alphaReQ), ("knn", knn),
      ("seconds", seconds), ("unix_seconds", unixSeconds),
    ]
    let rest = fields.map { name, value in "\"\(name)\":\(value.map { "\($0)" } ?? "null")" }.joined(separator: ",")
    return "{\"step\":\(step),\"pictures\":\(pictures),\(rest)}"
  }

  /// The last record of an `evaluations.jsonl`; nil if there is none.
  /// - Parameter step: of records beyond it none counts.
  /// - Complexity: reads the file, some 200 bytes an evaluation.
  public static func newest(inFile path: String, upTo step: Int = .max) -> EvaluationRecord? {
    guard let bytes = FileManager.default.contents(atPath: path) else { return nil }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    for line in bytes.split(separator: UInt8(ascii: "\n")).reversed() {
      if let record = try? decoder.decode(EvaluationRecord.self, from: line), record.step <= step { return record }
    }
    return nil
  }

  /// For people, on one line.
  public var words: String {
    let share = knn.map { String(format: ", k-NN %.3f", $0) } ?? ""
    return String(format: "RankMe %.1f, LiDAR %.1f, alpha-ReQ %.2f", rankMe, lidar, alphaReQ) + share
  }
}
