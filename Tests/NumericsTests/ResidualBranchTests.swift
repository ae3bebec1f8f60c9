import Numerics
import Testing

/// The end of a residual branch, with LayerScale, forward and backward, against loops in Double.
@Suite struct ResidualBranchTests {
  private static func matrix(_ rows: Int, _ columns: Int, image: UInt64) -> Matrix {
    var stream = RandomStream(RandomKey(seed: 4, purpose: .synthesis, image: image))
    return FloatBuffer((0..<rows * columns).map { _ in Float(stream.normal()) }).matrix(rows: rows, columns: columns)
  }

  @Test(arguments: [1, 7, 8, 19, 32])
  func eachColumnHasItsFactor(columns: Int) {
    let (x, branch) = (Self.matrix(5, columns, image: 1), Self.matrix(5, columns, image: 2))
    let (bias, gamma) = (Self.matrix(1, columns, image: 3).row(at: 0), Self.matrix(1, columns, image: 4).row(at: 0))
    let y = FloatBuffer(count: 5 * columns).matrix(rows: 5, columns: columns)
    addBranch(x, branch, bias: bias, gamma: gamma, scale: 1.25, into: y)
    for row in 0..<5 {
      for column in 0..<columns {
        let sum = Double(branch[row, column]) + Double(bias[column])
        let wanted = Double(x[row, column]) + 1.25 * Double(gamma[column]) * sum
        #expect(abs(Double(y[row, column]) - wanted) < 1e-5)
      }
    }
    // No factors are factors of 1.
    let (plain, ones) = (y, FloatBuffer([Float](repeating: 1, count: columns)).vector)
    addBranch(x, branch, bias: bias, scale: 1.25, into: plain)
    let without = plain.array
    addBranch(x, branch, bias: bias, gamma: ones, scale: 1.25, into: plain)
    #expect(without == plain.array)
  }

  @Test(arguments: [1, 7, 8, 19, 32], [Precision.fp32, .bf16])
  func backwardGivesTheBranchsGradientAndAddsGammas(columns: Int, precision: Precision) {
    let (yGradient, branch) = (Self.matrix(5, columns, image: 1), Self.matrix(5, columns, image: 2))
    let (bias, gamma) = (Self.matrix(1, columns, image: 3).row(at: 0), Self.matrix(1, columns, image: 4).row(at: 0))
    let branchGradient = FloatBuffer(count: 5 * columns).factor(rows: 5, columns: columns, precision: precision)
    // What is behind the last column stays as it is.
    let room = FloatBuffer([Float](repeating: 3, count: columns + 8))
    let gammaGradient = room.vector(at: 0, count: columns)
    addBranchBackward(
      yGradient, branch: branch, bias: bias, gamma: gamma, scale: 0.75, into: branchGradient,
      gammaGradient: gammaGradient)
    let found = branchGradient.array
    for column in 0..<columns {
      var sum = 3.0
      for row in 0..<5 {
        let gradient = 0.75 * Double(yGradient[row, column])
        sum += gradient * (Double(branch[row, column]) + Double(bias[column]))
        let wanted = gradient * Double(gamma[column])
        let bound = precision == .fp32 ? 1e-6 : abs(wanted) / 250 + 1e-6
        #expect(abs(Double(found[row * columns + column]) - wanted) <= bound)
      }
      #expect(abs(Double(gammaGradient[column]) - sum) < 1e-5)
    }
    #expect((columns..<columns + 8).allSatisfy { room[$0] == 3 })
  }

  @Test(arguments: [1, 5]) func patchesStandBehindRowsOfZeros(leading: Int) {
    let pixels = Self.matrix(2, 3 * 4 * 4, image: 5)
    func patches(behind leading: Int) -> [Float] {
      let rows = 2 * (leading + 4)
      let memory = FloatBuffer([Float](repeating: .nan, count: rows * 12)).matrix(rows: rows, columns: 12)
      extractPatches(pixels, side: 4, patch: 2, behind: leading, into: Factor(memory))
      return memory.array
    }
    let (found, one) = (patches(behind: leading), patches(behind: 1))
    for image in 0..<2 {
      let (first, firstOfOne) = (image * (leading + 4) * 12, image * 5 * 12)
      #expect(found[first..<first + leading * 12].allSatisfy { $0 == 0 })
      #expect(
        Array(found[first + leading * 12..<first + (leading + 4) * 12]) == Array(one[firstOfOne + 12..<firstOfOne + 60])
      )
    }
    #expect(found.allSatisfy { $0.isFinite })
  }
}
