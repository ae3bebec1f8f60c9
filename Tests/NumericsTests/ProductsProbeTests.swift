import Numerics
import Testing

/// The probe tells libraries apart that add long sums up in other pieces.
struct ProductsProbeTests {
  /// `multiply` as a library would that cuts sums after so many products, for one way of reading the factors.
  private static func cut(
    after count: Int, _ left: Transposition, _ right: Transposition
  ) -> (Factor, Transposition, Factor, Transposition, Float, Factor) -> Void {
    { a, ofA, b, ofB, keep, c in
      let inner = ofA == .asIs ? a.columns : a.rows
      guard ofA == left, ofB == right, inner > count, c.precision == .fp32 else {
        return multiply(a, ofA, b, ofB, keep: keep, into: c)
      }
      for (range, keep) in [(0..<count, keep), (count..<inner, 1)] {
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

  @Test(
    .enabled(if: OneDNN.isUsable, "libdnnl, or AVX-512, is missing"),
    arguments: [(Transposition.asIs, Transposition.asIs), (.asIs, .transposed), (.transposed, .asIs)])
  func inBFloat16Too(left: Transposition, right: Transposition) {
    let whole = productsProbe(.bf16)
    #expect(productsProbe(.bf16) == whole)
    #expect(productsProbe(.bf16, by: Self.cut(after: 2_500, left, right)) != whole)
  }
}
