import COneDNN
import COpenBLAS

/// How a factor of a product is read: as it stands, or by columns.
public enum Transposition: Sendable {
  case asIs
  case transposed

  var cblas: CBLAS_TRANSPOSE { self == .asIs ? CblasNoTrans : CblasTrans }
}

/// OpenBLAS splits a product over threads in ways that follow from who else computes, and the split decides rounding.
let oneThreadACall: Void = OpenBLAS.useOneThread()

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
  multiply(
    Factor(a), aTransposition, Factor(b), bTransposition, scale: scale, keep: keep, into: Factor(c))
}

/// The same of factors. In fp32 OpenBLAS multiplies, in bf16 oneDNN, which adds up in floats too.
///
/// - Parameters:
///   - a: and `b`: of one precision.
///   - scale: 1 in bf16: there a factor is scaled where it is rounded.
///   - keep: in bf16 0 or 1.
///   - c: of floats, or, with `keep` 0, of the factors' precision: then each sum is rounded once.
/// - Precondition: in bf16 `OneDNN.check()` has not thrown.
public func multiply(
  _ a: Factor, _ aTransposition: Transposition = .asIs, _ b: Factor, _ bTransposition: Transposition = .asIs,
  scale: Float = 1, keep: Float = 0, into c: Factor
) {
  let (rows, columns, inner) = sizes(a, aTransposition, b, bTransposition, into: c)
  guard a.precision == .fp32 else {
    invariant(scale == 1 && (keep == 0 || keep == 1 && c.precision == .fp32), "scale \(scale), keep \(keep) in bf16")
    return OneDNN.multiply(a, aTransposition, b, bTransposition, adding: keep == 1 ? .result : .nothing, into: c)
  }
  invariant(c.precision == .fp32, "floats into bf16")
  _ = oneThreadACall
  cblas_sgemm(
    CblasRowMajor, aTransposition.cblas, bTransposition.cblas, Int32(rows), Int32(columns), Int32(inner), scale,
    a.floats(0), Int32(a.stride), b.floats(0), Int32(b.stride), keep, c.floats(0), Int32(c.stride))
}

/// c = op(a) op(b) + bias of factors in bf16: each sum with its bias is rounded once, where `c` is bf16 too.
///
/// - Parameter bias: `[c.columns]`, added to each row.
/// - Precondition: `OneDNN.check()` has not thrown.
public func multiply(
  _ a: Factor, _ aTransposition: Transposition = .asIs, _ b: Factor, _ bTransposition: Transposition = .asIs,
  bias: Vector, into c: Factor
) {
  _ = sizes(a, aTransposition, b, bTransposition, into: c)
  invariant(a.precision == .bf16 && bias.count == c.columns, "a bias of \(bias.count) for \(c.columns) columns")
  OneDNN.multiply(a, aTransposition, b, bTransposition, adding: .bias(bias), into: c)
}

/// What a product has, of factors that fit.
private func sizes(
  _ a: Factor, _ aTransposition: Transposition, _ b: Factor, _ bTransposition: Transposition, into c: Factor
) -> (rows: Int, columns: Int, inner: Int) {
  let (rows, inner) = aTransposition == .asIs ? (a.rows, a.columns) : (a.columns, a.rows)
  let (innerOfB, columns) = bTransposition == .asIs ? (b.rows, b.columns) : (b.columns, b.rows)
  invariant(inner == innerOfB, "inner sizes \(inner) and \(innerOfB)")
  invariant(rows == c.rows && columns == c.columns, "\(rows) x \(columns) into \(c.rows) x \(c.columns)")
  invariant(a.precision == b.precision, "factors of two precisions")
  return (rows, columns, inner)
}

/// The same into floats.
public func multiply(
  _ a: Factor, _ aTransposition: Transposition = .asIs, _ b: Factor, _ bTransposition: Transposition = .asIs,
  scale: Float = 1, keep: Float = 0, into c: Matrix
) {
  multiply(a, aTransposition, b, bTransposition, scale: scale, keep: keep, into: Factor(c))
}
