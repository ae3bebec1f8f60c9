import Numerics
import Testing

/// The probe tells libraries apart that add long sums up in other pieces.
struct ProductsProbeTests {
  /// `multiply` as a library would that cuts sums after so many products, for one way of reading the factors.
  private static func cut(
    after count: Int, _ left: Transposition, _ right: Transposition
  ) -> (Matrix, Transposition, Matrix, Transposition, Matrix) -> Void {
    { a, ofA, b, ofB, c in
      let inner = ofA == .asIs ? a.columns : a.rows
      guard ofA == left, ofB == right, inner > count else { return multiply(a, ofA, b, ofB, into: c) }
      for (range, keep) in [(0..<count, Float(0)), (count..<inner, 1)] {
        multiply(
          ofA == .asIs ? a.columns(range) : a.rows(range), ofA, ofB == .asIs ? b.rows(range) : b.columns(range), ofB,
          keep: keep, into: c)
      }
    }
  }

  @Test(arguments: [(Transposition.asIs, Transposition.asIs), (.asIs, .transposed), (.transposed, .asIs)])
  func sumsCutElsewhereAreFoundEachWayRound(left: Transposition, right: Transposition) {
    let whole = productsProbe()
    #expect(productsProbe() == whole)
    for count in [250, 500, 900, 2_500, 16_001] {
      #expect(productsProbe(by: Self.cut(after: count, left, right)) != whole, "cut after \(count)")
    }
  }
}
