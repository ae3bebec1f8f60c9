import Checkpoints
import Durability
import Foundation

/// A golden case: a JSON file of settings, the tensors beside it, and the reference's numbers in both.
///
/// The kind is told from the contents: schedules hold lists by name, augmentation holds `cases`, mixed precision
/// `autocast`, training `steps`, a backbone by itself `library`.
public enum GoldenCase {
  /// One quantity of a case: how far it is from the reference, and how far it may be.
  public struct Comparison: Sendable, Equatable {
    public let quantity: String
    /// The largest difference found.
    public let difference: Double
    /// The largest difference allowed.
    public let bound: Double
    public var isWithin: Bool { difference <= bound }

    public init(quantity: String, difference: Double, bound: Double) {
      self.quantity = quantity
      // A NaN is over every bound.
      self.difference = difference.isNaN ? .infinity : difference
      self.bound = bound
    }
  }

  /// Replays a case.
  ///
  /// - Parameter path: of the JSON file; tensors are read from the file of that name with `.safetensors`.
  /// - Returns: the comparisons, in the order of the computation.
  /// - Throws: `VerificationError`, or what reading the tensors throws.
  public static func replay(_ path: String) throws -> [Comparison] {
    let fields = try CaseFields(path)
    let settings = fields.values
    if settings["steps_per_epoch"] != nil { return try ScheduleCase.replay(fields) }
    let tensors = try SafetensorsFile(fields.tensorPath, in: FileStorage())
    if fields.isMixedPrecision { return try MixedPrecisionCase.replay(fields, tensors) }
    if settings["cases"] != nil { return try AugmentationCase.replay(fields, tensors) }
    if settings["steps"] != nil { return try TrainingCase.replay(fields, tensors) }
    if settings["library"] != nil { return try BackboneCase.replay(fields, tensors) }
    throw VerificationError.notACase(path, problem: "it has none of 'steps', 'cases', 'steps_per_epoch' and 'library'")
  }

  /// Whether a case's products are bf16's.
  /// - Parameter path: as in `replay`.
  /// - Throws: `VerificationError`.
  public static func isMixedPrecision(_ path: String) throws -> Bool { try CaseFields(path).isMixedPrecision }
}

/// The fields of a case's JSON, read with errors that name file and field.
struct CaseFields {
  let path: String
  let values: [String: Any]

  init(path: String, values: [String: Any]) { (self.path, self.values) = (path, values) }

  /// - Throws: `VerificationError` if there is no such file, or no JSON object in it.
  init(_ path: String) throws {
    guard let bytes = FileManager.default.contents(atPath: path) else { throw VerificationError.unreadable(path) }
    guard let object = try? JSONSerialization.jsonObject(with: bytes), let values = object as? [String: Any] else {
      throw VerificationError.notACase(path, problem: "it is not a JSON object")
    }
    self.init(path: path, values: values)
  }

  /// The case says how far PyTorch's autocast is from fp32.
  var isMixedPrecision: Bool { values["autocast"] != nil }

  var tensorPath: String { (path.hasSuffix(".json") ? String(path.dropLast(5)) : path) + ".safetensors" }

  func integer(_ key: String) throws -> Int { try field(key, as: Int.self) }
  func number(_ key: String) throws -> Double { try field(key, as: Double.self) }
  func numbers(_ key: String) throws -> [Double] { try field(key, as: [Double].self) }
  func flag(_ key: String) throws -> Bool { try field(key, as: Bool.self) }
  func text(_ key: String) throws -> String { try field(key, as: String.self) }
  func texts(_ key: String) throws -> [String] { try field(key, as: [String].self) }

  /// 0 where a case does not speak of them, as those before there were any do not.
  var registers: Int { get throws { values["registers"] == nil ? 0 : try integer("registers") } }
  var layerScale: Double { get throws { values["layer_scale"] == nil ? 0 : try number("layer_scale") } }

  func objects(_ key: String) throws -> [CaseFields] {
    try field(key, as: [[String: Any]].self).map { CaseFields(path: path, values: $0) }
  }

  func object(_ key: String) throws -> CaseFields {
    CaseFields(path: path, values: try field(key, as: [String: Any].self))
  }

  private func field<Value>(_ key: String, as type: Value.Type) throws -> Value {
    guard let value = values[key] as? Value else {
      throw VerificationError.notACase(path, problem: "its field '\(key)' is missing or no \(type)")
    }
    return value
  }
}

/// Why a golden case cannot be replayed.
public enum VerificationError: Error, Equatable, CustomStringConvertible {
  case unreadable(String)
  case notACase(String, problem: String)

  public var description: String {
    switch self {
    case .unreadable(let path): "\(path) cannot be read. Give the path of a golden case's JSON file."
    case .notACase(let path, let problem):
      "\(path) is no golden case: \(problem). Cases are made by Scripts/golden."
    }
  }
}

/// The largest absolute value; 0 of none.
func scale(_ values: [Float]) -> Double { values.reduce(0) { max($0, Double($1.magnitude)) } }

/// The largest difference between elements; infinite when the counts differ or a difference is not a number.
func largestDifference(_ ours: [Float], _ theirs: [Float]) -> Double {
  guard ours.count == theirs.count else { return .infinity }
  var largest = 0.0
  for (our, their) in zip(ours, theirs) {
    let difference = (Double(our) - Double(their)).magnitude
    if difference.isNaN { return .infinity }
    largest = max(largest, difference)
  }
  return largest
}
