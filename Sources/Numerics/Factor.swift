/// What a product reads, and what is kept for one: a window of a `FloatBuffer` that holds `rows` x `columns` values,
/// row-major, neighbouring rows `stride` values apart, as floats or as bfloat16.
///
/// A matrix of floats is a factor in fp32 as it stands. In bf16 values are rounded where a kernel writes them into a
/// factor, once each; kernels read them back as floats.
public struct Factor {
  public let buffer: FloatBuffer
  /// Of the first value, in values from the buffer's start.
  public let offset: Int
  public let rows: Int
  public let columns: Int
  public let stride: Int
  public let precision: Precision

  init(
    _ buffer: FloatBuffer, offset: Int, rows: Int, columns: Int, stride: Int, precision: Precision
  ) {
    invariant(offset >= 0 && rows > 0 && columns > 0 && stride >= columns, "\(rows) x \(columns), stride \(stride)")
    let end = offset + (rows - 1) * stride + columns
    invariant(precision.floats(for: end) <= buffer.count, "window ends past its buffer")
    self.buffer = buffer
    self.offset = offset
    self.rows = rows
    self.columns = columns
    self.stride = stride
    self.precision = precision
  }

  /// The floats themselves.
  public init(_ floats: Matrix) {
    self.init(
      floats.buffer, offset: floats.offset, rows: floats.rows, columns: floats.columns, stride: floats.stride,
      precision: .fp32)
  }

  public func rows(_ range: Range<Int>) -> Factor {
    invariant(range.lowerBound >= 0 && range.upperBound <= rows)
    return Factor(
      buffer, offset: offset + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride,
      precision: precision)
  }

  public func columns(_ range: Range<Int>) -> Factor {
    invariant(range.lowerBound >= 0 && range.upperBound <= columns)
    return Factor(
      buffer, offset: offset + range.lowerBound, rows: rows, columns: range.count, stride: stride,
      precision: precision)
  }

  /// Rows 0, n, 2n, ...
  public func everyRow(_ n: Int) -> Factor {
    invariant(rows % n == 0)
    return Factor(
      buffer, offset: offset, rows: rows / n, columns: columns, stride: stride * n, precision: precision)
  }

  /// Has a row's floats written, and rounds them where values are bf16.
  /// - Parameter room: `columns` floats: where they are written in bf16.
  public func writeRow(_ row: Int, room: Vector, _ write: (Vector) -> Void) {
    if let floats { return write(floats.row(at: row)) }
    write(room)
    convert(room, into: rows(row..<(row + 1)))
  }

  /// The values as a matrix; nil in bf16.
  public var floats: Matrix? {
    precision == .fp32 ? Matrix(buffer, offset: offset, rows: rows, columns: columns, stride: stride) : nil
  }

  /// Row-major, without gaps.
  public var array: [Float] {
    (0..<rows).flatMap { row in
      (0..<columns).map { column in
        switch precision {
        case .fp32: floats(row)[column]
        case .bf16: halves(row).lanes(at: column, first: 1)[0]
        }
      }
    }
  }
}

extension FloatBuffer {
  /// - Parameters:
  ///   - offset: in values.
  ///   - stride: values from one row to the next; `columns` if nil.
  public func factor(
    at offset: Int = 0, rows: Int, columns: Int, stride: Int? = nil, precision: Precision
  ) -> Factor {
    Factor(self, offset: offset, rows: rows, columns: columns, stride: stride ?? columns, precision: precision)
  }
}

extension Matrix {
  /// The matrix as a factor, or, in bf16, room for one of its shape in the first half of its own memory: what a kernel
  /// rounds from here to there must be read before it is written, in order, as all that take both do.
  public func factor(in precision: Precision) -> Factor {
    switch precision {
    case .fp32: return Factor(self)
    case .bf16:
      invariant(isContiguous, "room among other values")
      return buffer.factor(at: 2 * offset, rows: rows, columns: columns, precision: .bf16)
    }
  }
}

extension Matrix {
  /// The values as products read them: in fp32 the matrix itself, in bf16 rounded into its own memory, where its floats
  /// are no more.
  public func rounded(to precision: Precision) -> Factor {
    let rounded = factor(in: precision)
    convert(self, into: rounded)
    return rounded
  }
}

// MARK: - Addresses

extension Factor {
  var address: UnsafeMutableRawPointer { UnsafeMutableRawPointer(buffer.base) + offset * precision.bytes }

  /// A row, where values are floats.
  @inline(__always)
  func floats(_ row: Int) -> UnsafeMutablePointer<Float> { buffer.base + (offset + row * stride) }

  /// A row, where values are bfloat16.
  @inline(__always)
  func halves(_ row: Int) -> BFloat16Pointer {
    BFloat16Pointer(base: UnsafeMutableRawPointer(buffer.base) + 2 * (offset + row * stride))
  }
}
