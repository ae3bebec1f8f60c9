import Numerics

/// A digest of all rows ever enqueued, in their order: each row is hashed together with the state before it.
///
/// It costs the same however large the memory is, and where two runs have the same digest they have the same rows.
public struct MemoryDigest: Hashable, Sendable {
  /// Of the rows so far; what a manifest keeps.
  public private(set) var state: Digest

  /// Of no rows.
  public init() { state = Digest(high: 0, low: 0) }

  /// Goes on from a state that a manifest kept.
  public init(resuming state: Digest) { self.state = state }

  public mutating func append(_ rows: Matrix) {
    var link = [UInt8](repeating: 0, count: 16 + rows.columns * MemoryLayout<Float>.stride)
    for index in 0..<rows.rows {
      state = link.withUnsafeMutableBytes { link in
        link.storeBytes(of: state.high.littleEndian, as: UInt64.self)
        link.storeBytes(of: state.low.littleEndian, toByteOffset: 8, as: UInt64.self)
        rows.withBytes(ofRow: index) { UnsafeMutableRawBufferPointer(rebasing: link[16...]).copyMemory(from: $0) }
        return Digest(of: UnsafeRawBufferPointer(link))
      }
    }
  }
}

extension Matrix {
  func withBytes<Result>(ofRow row: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    invariant(row >= 0 && row < rows)
    let start = offset + row * stride
    return try buffer.withBytes(of: start..<(start + columns), body)
  }

  func withMutableBytes<Result>(
    ofRow row: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    invariant(row >= 0 && row < rows)
    let start = offset + row * stride
    return try buffer.withMutableBytes(of: start..<(start + columns), body)
  }
}
