import Numerics

/// A network's weights as a step computes with them, in any number of threads: the floats, and in bf16 the same rounded,
/// for products. Rounding is done here, once for all slices.
///
///     NetworkWeights(student, .bf16)          // 2 bytes a parameter besides the floats' 4
public final class NetworkWeights: Sendable {
  /// Laid out by `ParameterLayout`; not written while the weights are in use.
  public let floats: FloatBuffer
  public let precision: Precision
  /// Each value where `floats` has it; `floats` itself in fp32.
  private let factors: FloatBuffer

  /// - Parameter room: for `roundedCount` floats, overwritten; made here if nil, and not used in fp32.
  public init(_ floats: FloatBuffer, _ precision: Precision, into room: FloatBuffer? = nil) {
    self.floats = floats
    self.precision = precision
    guard precision == .bf16 else {
      factors = floats
      return
    }
    factors = room ?? FloatBuffer(count: Self.roundedCount(of: floats.count))
    convert(floats.vector, into: factors.factor(rows: 1, columns: floats.count, precision: .bf16))
  }

  /// Floats that the rounded values of so many parameters take.
  public static func roundedCount(of parameters: Int) -> Int { Precision.bf16.floats(for: parameters) }

  /// A tensor's values for a product.
  func factor(at offset: Int, rows: Int, columns: Int) -> Factor {
    factors.factor(at: offset, rows: rows, columns: columns, precision: precision)
  }
}
