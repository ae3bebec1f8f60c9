import Foundation
import Numerics
import Testing

@Suite struct TranscendentalsTests {
  /// Distance in units in the last place of the true value.
  private func ulps(_ found: Double, _ expected: Double) -> Double { abs(found - expected) / expected.ulp }

  @Test func exponentialIsWithinTwoUlps() {
    for step in -70_000...70_000 {
      let x = Double(step) * 0.010_117
      #expect(ulps(Numerics.exponential(x), Foundation.exp(x)) <= 2, "\(x)")
    }
  }

  @Test func exponentialKnowsItsLimits() {
    #expect(Numerics.exponential(0.0) == 1)
    #expect(Numerics.exponential(1000.0) == .infinity)
    #expect(Numerics.exponential(-1000.0) == 0)
    #expect(Numerics.exponential(-745.0) == Foundation.exp(-745.0))
    #expect(Numerics.exponential(Double.nan).isNaN)
    #expect(Numerics.exponential(Float(88.7)).isFinite)
    #expect(Numerics.exponential(Float(89)) == .infinity)
  }

  @Test func logarithmIsWithinTwoUlps() {
    for step in 1...100_000 {
      for x in [Double(step) * 1.37e-3, 1 + Double(step) * 1e-9, Double(step) * 1e200, Double(step) * 0x1p-1060] {
        #expect(ulps(Numerics.logarithm(x), Foundation.log(x)) <= 2, "\(x)")
      }
    }
  }

  @Test func logarithmKnowsItsLimits() {
    #expect(Numerics.logarithm(1.0) == 0)
    #expect(Numerics.logarithm(0.0) == -.infinity)
    #expect(Numerics.logarithm(-1.0).isNaN)
    #expect(Numerics.logarithm(Double.infinity) == .infinity)
    #expect(Numerics.logarithm(Float(2)) == Float(0.693147180559945))
  }

  @Test func powerMatches() {
    for (x, y) in [(0.9, 2.5), (10, -3), (2, 0.5), (0.0, 2), (7, 0), (1, 1e9), (0.75, 10)] {
      #expect(abs(Numerics.power(x, y) - Foundation.pow(x, y)) <= 1e-14 * Foundation.pow(x, y), "\(x) \(y)")
    }
  }

  @Test func cosineAndSineAreExactAtQuartersAndCloseBetween() {
    for quarter in -9...9 {
      let (cosine, sine) = cosineAndSine(turns: Double(quarter) / 4)
      #expect(cosine == [1, 0, -1, 0][quarter & 3])
      #expect(sine == [0, 1, 0, -1][quarter & 3])
    }
    for step in -20_000...20_000 {
      let turns = Double(step) * 1.234_567e-4
      let (cosine, sine) = cosineAndSine(turns: turns)
      #expect(abs(cosine - Foundation.cos(2 * .pi * turns)) < 4e-15, "\(turns)")
      #expect(abs(sine - Foundation.sin(2 * .pi * turns)) < 4e-15, "\(turns)")
    }
    #expect(cosineAndSine(turns: .infinity).cosine.isNaN)
  }
}
