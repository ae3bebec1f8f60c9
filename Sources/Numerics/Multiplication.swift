import COpenBLAS

/// How a factor of a product is read: as it stands, or by columns.
public enum Transposition: Sendable {
  case asIs
  case transposed

  var cblas: CBLAS_TRANSPOSE { self == .asIs ? CblasNoTrans : CblasTrans }
}

/// OpenBLAS splits a product over threads in ways that follow from who else computes, and the split decides rounding.
private let oneThreadACall: Void = OpenBLAS.useOneThread()

/// c = scale * op(a) op(b) + keep * c, on the calling thread alone.
///
/// - Parameters:
///   - a: op(a) is `[c.rows, inner]`.
///   - b: op(b) is `[inner, c.columns]`.
///   - c: overlaps neither factor; with `keep` 0 its old values, NaN included, do not count.
/// - Complexity: 2 * c.rows * c.columns * inner flops.
public func multiply(
  _ a: Matrix, _ aTransposition: Transposition = .asIs, _ b: Matrix, _ bTransposition: Transposition = .asIs,
  scale: Float = 1, keep: Float = 0, into c: Matrix
) {
  let (rows, inner) = aTransposition == .asIs ? (a.rows, a.columns) : (a.columns, a.rows)
  let (innerOfB, columns) = bTransposition == .asIs ? (b.rows, b.columns) : (b.columns, b.rows)
  invariant(inner == innerOfB, "inner sizes \(inner) and \(innerOfB)")
  invariant(rows == c.rows && columns == c.columns, "\(rows) x \(columns) into \(c.rows) x \(c.columns)")
  _ = oneThreadACall
  cblas_sgemm(
    CblasRowMajor, aTransposition.cblas, bTransposition.cblas, Int32(rows), Int32(columns), Int32(inner), scale,
    a.base, Int32(a.stride), b.base, Int32(b.stride), keep, c.base, Int32(c.stride))
}
