/// The digest of a few products, each way round: two processes whose digests are equal add products up in one order.
///
/// A library cuts a long sum into pieces, as long as suits a cache; where it cuts shows in a sum that is longer. Sums of a
/// step are as long as a block has rows, so the longest here is longer than any block in use.
/// - Parameters:
///   - precision: of the factors; sums are floats. In bf16 such that are rounded, and such that are added to, count too.
///   - product: `multiply`; tests give another.
public func productsProbe(
  _ precision: Precision = .fp32,
  by product: (Factor, Transposition, Factor, Transposition, Float, Factor) -> Void = {
    multiply($0, $1, $2, $3, keep: $4, into: $5)
  }
) -> Digest {
  let (rows, columns, longest) = (24, 40, 33_001)
  let (left, right) = (FloatBuffer(count: rows * longest), FloatBuffer(count: columns * longest))
  fillWithNormalsOfUnitLength(left.vector, key: RandomKey(seed: 3, purpose: .synthesis))
  fillWithNormalsOfUnitLength(right.vector, key: RandomKey(seed: 4, purpose: .synthesis))
  for side in [left, right] {
    convert(side.vector, into: side.matrix(rows: 1, columns: side.count).factor(in: precision))
  }
  let result = FloatBuffer(count: rows * columns)
  let digest = DigestState()
  func add(keep: Float, in precisionOfSums: Precision, _ inner: Int, _ ofLeft: Transposition, _ ofRight: Transposition)
  {
    let (tall, wide) = (
      ofLeft == .asIs ? (rows, inner) : (inner, rows), ofRight == .asIs ? (inner, columns) : (columns, inner)
    )
    product(
      left.factor(rows: tall.0, columns: tall.1, precision: precision), ofLeft,
      right.factor(rows: wide.0, columns: wide.1, precision: precision), ofRight, keep,
      result.factor(rows: rows, columns: columns, precision: precisionOfSums))
    result.withBytes(of: 0..<precisionOfSums.floats(for: result.count)) { digest.update($0) }
  }
  for inner in [600, 4_099, longest] {
    for (ofLeft, ofRight) in [(Transposition.asIs, Transposition.asIs), (.asIs, .transposed), (.transposed, .asIs)] {
      add(keep: 0, in: .fp32, inner, ofLeft, ofRight)
      if precision == .bf16 {
        add(keep: 1, in: .fp32, inner, ofLeft, ofRight)
        add(keep: 0, in: .bf16, inner, ofLeft, ofRight)
      }
    }
  }
  return digest.digest
}
