import Foundation
import Numerics

/// What a benchmark found: a figure, beside the most that the machine could do in the same run.
public struct Figure: Sendable, Equatable, Encodable {
  public struct Ceiling: Sendable, Equatable, Encodable {
    /// What was measured: "sgemm 4096x4096x4096".
    public var name: String
    public var value: Double
    public init(_ name: String, _ value: Double) {
      self.name = name
      self.value = value
    }
  }

  public var name: String
  public var value: Double
  /// Of value and ceiling: "GFLOP/s".
  public var unit: String
  public var ceiling: Ceiling?
  /// value / ceiling.
  public var ceilingRatio: Double? { ceiling.map { value / $0.value } }
  /// Of the result that was computed: the same on every machine of a compute class.
  public var digest: String?
  public var imagesPerSecond: Double?
  /// The most memory that the process ever had resident.
  public var peakBytes: Int?

  public init(
    _ name: String, _ value: Double, unit: String, ceiling: Ceiling? = nil, digest: String? = nil,
    imagesPerSecond: Double? = nil, peakBytes: Int? = nil
  ) {
    self.name = name
    self.value = value
    self.unit = unit
    self.ceiling = ceiling
    self.digest = digest
    self.imagesPerSecond = imagesPerSecond
    self.peakBytes = peakBytes
  }

  private enum CodingKeys: String, CodingKey {
    case name, value, unit, ceiling, ceilingRatio, digest, imagesPerSecond, peakBytes
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(value, forKey: .value)
    try container.encode(unit, forKey: .unit)
    try container.encodeIfPresent(ceiling, forKey: .ceiling)
    try container.encodeIfPresent(ceilingRatio, forKey: .ceilingRatio)
    try container.encodeIfPresent(digest, forKey: .digest)
    try container.encodeIfPresent(imagesPerSecond, forKey: .imagesPerSecond)
    try container.encodeIfPresent(peakBytes, forKey: .peakBytes)
  }
}

extension Figure: CustomStringConvertible {
  /// One line: name, value, ceiling and ratio.
  public var description: String {
    var line = name.padding(toLength: max(name.count, 34), withPad: " ", startingAt: 0)
    line += String(format: " %10.2f %@", value, unit)
    if let imagesPerSecond { line += String(format: "  %.2f images/s", imagesPerSecond) }
    if let ceiling, let ceilingRatio {
      line += String(format: "  of %.2f (%@): %.3f", ceiling.value, ceiling.name, ceilingRatio)
    }
    if let peakBytes { line += String(format: "  peak %.0f MiB", Double(peakBytes) / 0x1p20) }
    if let digest { line += "  \(digest)" }
    return line
  }
}
