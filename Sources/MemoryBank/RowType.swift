import Numerics

/// How a row's elements are stored and sent; computing is in fp32 always.
public enum RowType: String, Hashable, Sendable, CaseIterable, Codable {
  case fp32
  case fp16

  /// Of one element.
  public var bytes: Int {
    switch self {
    case .fp32: 4
    case .fp16: 2
    }
  }

  /// As it stands in the header of an extent.
  var code: Int {
    switch self {
    case .fp32: 1
    case .fp16: 2
    }
  }
}

extension RowType {
  /// Writes a row as it is stored: `bytes` times as many bytes as it has floats, rounded to the nearest.
  public func store(_ row: Vector, into target: UnsafeMutableRawBufferPointer) {
    switch self {
    case .fp32: row.withBytes { target.copyMemory(from: $0) }
    case .fp16: convertToHalf(row, into: target)
    }
  }

  /// Takes a row from its stored bytes, which may begin at any address.
  public func load(_ source: UnsafeRawBufferPointer, into row: Vector) {
    switch self {
    case .fp32: row.withMutableBytes { $0.copyMemory(from: source) }
    case .fp16: convertToSingle(source, into: row)
    }
  }

  /// Gives a row's floats the values that they have once stored.
  public func round(_ row: Vector) {
    if self == .fp16 { roundToHalf(row) }
  }
}

extension Vector {
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try buffer.withBytes(of: offset..<(offset + count), body)
  }

  func withMutableBytes<Result>(_ body: (UnsafeMutableRawBufferPointer) throws -> Result) rethrows -> Result {
    try buffer.withMutableBytes(of: offset..<(offset + count), body)
  }
}
