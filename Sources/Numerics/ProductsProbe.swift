/// The digest of a few products, each way round: two processes whose digests are equal add products up in one order.
///
/// A library cuts a long sum into pieces, as long as suits a cache; where it cuts shows in a sum that is longer. Sums of a
/// step are as long as a block has rows, so the longest here is longer than any block in use.
/// - Parameter product: `multiply`; tests give another.
public func productsProbe(
  by product: (Matrix, Transposition, Matrix, Transposition, Matrix) -> Void = { multiply($0, $1, $2, $3, into: $4) }
) -> Digest {
  let (rows, columns, longest) = (24, 40, 33_001)
  let (left, right) = (FloatBuffer(count: rows * longest), FloatBuffer(count: columns * longest))
  fillWithNormalsOfUnitLength(left.vector, key: RandomKey(seed: 3, purpose: .synthesis))
  fillWithNormalsOfUnitLength(right.vector, key: RandomKey(seed: 4, purpose: .synthesis))
  let result = FloatBuffer(count: rows * columns)
  let digest = DigestState()
  for inner in [600, 4_099, longest] {
    for (ofLeft, ofRight) in [(Transposition.asIs, Transposition.asIs), (.asIs, .transposed), (.transposed, .asIs)] {
      let (tall, wide) = (
        ofLeft == .asIs ? (rows, inner) : (inner, rows), ofRight == .asIs ? (inner, columns) : (columns, inner)
      )
      product(
        left.matrix(at: 0, rows: tall.0, columns: tall.1), ofLeft,
        right.matrix(at: 0, rows: wide.0, columns: wide.1), ofRight,
        result.matrix(at: 0, rows: rows, columns: columns))
      result.withBytes(of: 0..<result.count) { digest.update($0) }
    }
  }
  return digest.digest
}
