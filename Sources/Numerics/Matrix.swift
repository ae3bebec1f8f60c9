/// A window of a `FloatBuffer`: `count` floats, one after the other.
public struct Vector {
  public let buffer: FloatBuffer
  public let offset: Int
  public let count: Int

  init(_ buffer: FloatBuffer, offset: Int, count: Int) {
    invariant(offset >= 0 && count >= 0 && offset + count <= buffer.count, "window ends past its buffer")
    (self.buffer, self.offset, self.count) = (buffer, offset, count)
  }

  var base: UnsafeMutablePointer<Float> { buffer.base + offset }

  public subscript(index: Int) -> Float {
    get {
      invariant(index >= 0 && index < count)
      return base[index]
    }
    nonmutating set {
      invariant(index >= 0 && index < count)
      base[index] = newValue
    }
  }

  public var array: [Float] { (0..<count).map { base[$0] } }

  public func vector(at offset: Int, count: Int) -> Vector {
    invariant(offset >= 0 && offset + count <= self.count)
    return Vector(buffer, offset: self.offset + offset, count: count)
  }

  public func matrix(rows: Int, columns: Int) -> Matrix {
    invariant(rows * columns <= count)
    return Matrix(buffer, offset: offset, rows: rows, columns: columns, stride: columns)
  }
}

/// A window of a `FloatBuffer`: `rows` x `columns` floats, row-major, neighbouring rows `stride` floats apart.
public struct Matrix {
  public let buffer: FloatBuffer
  public let offset: Int
  public let rows: Int
  public let columns: Int
  public let stride: Int

  init(_ buffer: FloatBuffer, offset: Int, rows: Int, columns: Int, stride: Int) {
    invariant(offset >= 0 && rows > 0 && columns > 0 && stride >= columns, "\(rows) x \(columns), stride \(stride)")
    invariant(offset + (rows - 1) * stride + columns <= buffer.count, "window ends past its buffer")
    self.buffer = buffer
    self.offset = offset
    self.rows = rows
    self.columns = columns
    self.stride = stride
  }

  var base: UnsafeMutablePointer<Float> { buffer.base + offset }

  /// Whether the rows follow one another without a gap.
  public var isContiguous: Bool { stride == columns }

  public subscript(row: Int, column: Int) -> Float {
    get {
      invariant(row >= 0 && row < rows && column >= 0 && column < columns)
      return base[row * stride + column]
    }
    nonmutating set {
      invariant(row >= 0 && row < rows && column >= 0 && column < columns)
      base[row * stride + column] = newValue
    }
  }

  /// Row-major, without gaps.
  public var array: [Float] { (0..<rows).flatMap { row(at: $0).array } }

  public func row(at index: Int) -> Vector {
    invariant(index >= 0 && index < rows)
    return Vector(buffer, offset: offset + index * stride, count: columns)
  }

  public func rows(_ range: Range<Int>) -> Matrix {
    invariant(range.lowerBound >= 0 && range.upperBound <= rows)
    return Matrix(
      buffer, offset: offset + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride)
  }

  public func columns(_ range: Range<Int>) -> Matrix {
    invariant(range.lowerBound >= 0 && range.upperBound <= columns)
    return Matrix(buffer, offset: offset + range.lowerBound, rows: rows, columns: range.count, stride: stride)
  }
}
