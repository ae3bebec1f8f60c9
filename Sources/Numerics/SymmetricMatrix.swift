import COpenBLAS

/// A symmetric matrix of doubles: sums of products of rows, and their spectrum.
///
///     var gram = SymmetricMatrix(size: width)
///     gram.addProducts(ofRows: rows)                 // += XᵀX
///     let values = gram.eigenvalues()                // descending
///
/// Doubles, for the small end of a spectrum is lost in floats: a product of rows squares what singular values differ by.
public struct SymmetricMatrix: Sendable {
  /// Rows, and columns.
  public let size: Int
  /// Row-major; what is left of the diagonal is not kept.
  private var values: [Double]

  /// All zeros.
  public init(size: Int) {
    invariant(size > 0 && size <= 1 << 15, "a matrix of \(size) rows")
    self.size = size
    values = [Double](repeating: 0, count: size * size)
  }

  public subscript(row: Int, column: Int) -> Double {
    let (row, column) = (min(row, column), max(row, column))
    invariant(row >= 0 && column < size)
    return values[row * size + column]
  }

  /// Adds scale · XᵀX.
  /// - Parameter rows: X, `[n, size]`, row-major.
  /// - Complexity: n · size² flops.
  public mutating func addProducts(ofRows rows: [Double], scale: Double = 1) {
    let count = rows.count / size
    invariant(rows.count == count * size, "\(rows.count) numbers in rows of \(size)")
    if count == 0 { return }
    _ = oneThreadACall
    cblas_dsyrk(
      CblasRowMajor, CblasUpper, CblasTrans, Int32(size), Int32(count), scale, rows, Int32(size), 1, &values,
      Int32(size))
  }

  public mutating func addToDiagonal(_ value: Double) {
    for index in 0..<size { values[index * size + index] += value }
  }
}

// MARK: - Spectrum

extension SymmetricMatrix {
  /// All eigenvalues, largest first; nil where an element is not finite.
  /// - Complexity: some 4/3 · size³ flops.
  public func eigenvalues() -> [Double]? {
    guard isFinite else { return nil }
    _ = oneThreadACall
    var (matrix, found, code) = (values, [Double](repeating: 0, count: size), Int32(0))
    var (n, leading, room, integers) = (Int32(size), Int32(size), workRoom, Int32(1))
    var (work, integerWork) = ([Double](repeating: 0, count: Int(room)), [Int32(0)])
    // By columns, as LAPACK reads, the triangle right of the diagonal is the lower one.
    dsyevd_("N", "L", &n, &matrix, &leading, &found, &work, &room, &integerWork, &integers, &code, 1, 1)
    return code == 0 ? found.reversed() : nil
  }

  /// The eigenvalues λ of this · v = λ · other · v, largest first: those of other^(-1/2) · this · other^(-1/2).
  /// - Parameter other: of the same size, positive definite.
  /// - Returns: nil where it is not, or where an element is not finite.
  /// - Complexity: some 3 · size³ flops.
  public func eigenvalues(relativeTo other: SymmetricMatrix) -> [Double]? {
    invariant(other.size == size, "\(size) rows relative to \(other.size)")
    guard isFinite, other.isFinite else { return nil }
    _ = oneThreadACall
    var (matrix, divisor, found, code) = (values, other.values, [Double](repeating: 0, count: size), Int32(0))
    var (kind, n, room, integers) = (Int32(1), Int32(size), workRoom, Int32(1))
    var (leading, leadingOfDivisor) = (n, n)
    var (work, integerWork) = ([Double](repeating: 0, count: Int(room)), [Int32(0)])
    dsygvd_(
      &kind, "N", "L", &n, &matrix, &leading, &divisor, &leadingOfDivisor, &found, &work, &room, &integerWork,
      &integers, &code, 1, 1)
    return code == 0 ? found.reversed() : nil
  }

  private var isFinite: Bool { values.allSatisfy(\.isFinite) }

  /// Doubles: what LAPACK needs at least, and blocks of 64 columns.
  private var workRoom: Int32 { Int32(66 * size + 1) }
}
