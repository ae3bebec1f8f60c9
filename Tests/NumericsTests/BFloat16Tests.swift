import Numerics
import Testing

/// Rounding to bfloat16, and kernels that read and write it: what fp32 gives, rounded once.
@Suite struct BFloat16Tests {
  /// The nearest bfloat16, of two the even one, by its definition.
  static func rounded(_ x: Float) -> Float {
    let below = Float(bitPattern: x.bitPattern & 0xFFFF_0000)
    let above = Float(bitPattern: below.bitPattern &+ 0x1_0000)
    // Beyond the largest is the next power of two, whose name is infinity.
    let end = above.isFinite ? Double(above) : x < 0 ? -0x1p128 : 0x1p128
    let (down, up) = (abs(Double(x) - Double(below)), abs(end - Double(x)))
    return down == up ? (below.bitPattern & 0x1_0000 == 0 ? below : above) : down < up ? below : above
  }

  private func room(_ shape: Shape) -> Factor {
    FloatBuffer(count: shape.rows * shape.columns)
      .factor(rows: shape.rows, columns: shape.columns, precision: .bf16)
  }

  private func rounded(_ matrix: Matrix) -> [Float] { matrix.array.map(Self.rounded) }

  @Test func everyUpperHalfRoundsToItselfAndTiesGoToTheEvenOne() {
    // Numbers, and what lies between them and the next: a quarter, a half, three quarters of the way.
    let halves = (0...UInt32(0xFFFF)).map { $0 << 16 }.filter { Float(bitPattern: $0).isFinite }
    for part in [UInt32(0), 0x4000, 0x7FFF, 0x8000, 0x8001, 0xC000, 0xFFFF] {
      let values = halves.map { Float(bitPattern: $0 | part) }
      let x = FloatBuffer(values).matrix(rows: 1, columns: values.count)
      #expect(x.rounded(to: .bf16).array == values.map(Self.rounded))
    }
  }

  @Test func whatIsNotFiniteStaysSo() {
    let odd = Float(bitPattern: 0x7F80_0001)
    let x = FloatBuffer([.infinity, -.infinity, .nan, odd, Float(bitPattern: 0xFFFF_FFFF), 3.4e38, 1, 2, 3])
    let y = x.matrix(rows: 1, columns: 9).rounded(to: .bf16)
    #expect(y.array[0] == .infinity && y.array[1] == -.infinity && y.array[5] == .infinity)
    #expect(y.array[2...4].allSatisfy { $0.isNaN })
    #expect(!isFinite(y, row: 0))
    #expect(isFinite(FloatBuffer([1, 2, 3, 4]).matrix(rows: 1, columns: 4).rounded(to: .bf16), row: 0))
  }

  @Test(arguments: Shape.odd) func aMatrixIsRoundedInItsOwnMemory(shape: Shape) {
    let x = Shape(rows: shape.rows, columns: shape.columns, gap: 0).matrix(salt: 1)
    let expected = rounded(x)
    #expect(x.rounded(to: .fp32).array == x.array)
    #expect(x.rounded(to: .bf16).array == expected)
  }

  @Test(arguments: Shape.odd) func kernelsGiveWhatFloatsGiveRounded(shape: Shape) {
    let (x, bias, weight) = (shape.matrix(salt: 1), shape.rowVector(salt: 2), shape.rowVector(salt: 3))
    let (y, z) = (shape.matrix(salt: 4), room(shape))

    convert(x, times: 0.3, into: Factor(y))
    convert(x, times: 0.3, into: z)
    #expect(z.array == rounded(y))

    layerNorm(x, weight: weight, bias: bias, epsilon: 1e-6, into: Factor(y))
    layerNorm(x, weight: weight, bias: bias, epsilon: 1e-6, into: z)
    #expect(z.array == rounded(y))

    gelu(Factor(x), into: Factor(y))
    gelu(Factor(x), into: z)
    #expect(z.array == rounded(y))

    let logits = shape.matrix(salt: 1)
    softmaxRows(x, scale: 2, into: Factor(x))
    softmaxRows(logits, scale: 2, into: z)
    #expect(z.array == rounded(x))
  }

  @Test(arguments: Shape.odd) func geluOfAProductWithItsBiasIsRounded(shape: Shape) {
    let (x, again, bias, y, z) = (
      shape.matrix(salt: 1), shape.matrix(salt: 1), shape.rowVector(salt: 2), shape.matrix(salt: 3), room(shape)
    )
    geluAddingBias(x, bias: bias, into: Factor(y))
    geluAddingBias(again, bias: bias, into: z)
    #expect(again.array == x.array)
    #expect(z.array == rounded(y))
  }

  @Test(arguments: Shape.odd) func factorsAreCopiedAndCleared(shape: Shape) {
    let source = shape.matrix(salt: 1)
    let (x, y, floats) = (room(shape), room(shape), shape.matrix(salt: 2))
    convert(source, into: x)
    copy(x, into: y)
    copy(Factor(source), into: Factor(floats))
    #expect(y.array == x.array && floats.array == source.array && gapsAreWhole(floats))
    clear(y.rows(0..<1))
    clear(Factor(floats).rows(0..<1))
    let zeros = Array(repeating: Float(0), count: shape.columns)
    #expect(y.array == zeros + x.array.dropFirst(shape.columns))
    #expect(floats.array == zeros + source.array.dropFirst(shape.columns) && gapsAreWhole(floats))
  }

  /// Gradients are rounded into the memory that they come from.
  @Test(arguments: Shape.odd) func gradientsAreRoundedInPlace(shape: Shape) {
    let dense = Shape(rows: shape.rows, columns: shape.columns, gap: 0)
    let (x, p) = (dense.matrix(salt: 1).rounded(to: .bf16), dense.matrix(salt: 2).rounded(to: .bf16))
    func floats(_ factor: Factor) -> Factor {
      Factor(FloatBuffer(factor.array).matrix(rows: shape.rows, columns: shape.columns))
    }
    let (a, b) = (dense.matrix(salt: 3), dense.matrix(salt: 3))
    geluBackward(floats(x), gradient: Factor(dense.matrix(salt: 3)), into: Factor(a))
    geluBackward(floats(x), gradient: Factor(b), into: b.factor(in: .bf16))
    #expect(b.factor(in: .bf16).array == rounded(a))
    let halves = dense.matrix(salt: 6).rounded(to: .bf16)
    geluBackward(floats(x), gradient: floats(halves), into: Factor(a))
    geluBackward(x, gradient: halves, into: halves)
    #expect(halves.array == rounded(a))

    let (c, d) = (dense.matrix(salt: 4), dense.matrix(salt: 4))
    softmaxBackward(floats(p), gradient: c, scale: 0.5, into: Factor(c))
    softmaxBackward(p, gradient: d, scale: 0.5, into: d.factor(in: .bf16))
    #expect(d.factor(in: .bf16).array == rounded(c))

    let (sums, others) = (dense.rowVector(salt: 5), dense.rowVector(salt: 5))
    sumRows(of: x, addingTo: sums)
    sumRows(of: floats(x), addingTo: others)
    #expect(sums.array == others.array)
  }

  @Test(arguments: [(8, 4), (6, 3), (32, 16)]) func patchesAreRounded(side: Int, patch: Int) {
    let pixels = Shape(rows: 2, columns: 3 * side * side, gap: 0).matrix(salt: 1)
    let shape = Shape(rows: 2 * (1 + side * side / patch / patch), columns: 3 * patch * patch, gap: 0)
    let (floats, halves) = (shape.matrix(salt: 2), room(shape))
    extractPatches(pixels, side: side, patch: patch, behind: 1, into: Factor(floats))
    extractPatches(pixels, side: side, patch: patch, behind: 1, into: halves)
    #expect(halves.array == rounded(floats))
  }
}

/// Products of bfloat16 are those of the rounded values, added up in floats.
@Suite(.enabled(if: OneDNN.isUsable, "libdnnl, or AVX-512, is missing")) struct BFloat16ProductsTests {
  private static let waysRound: [Transposition] = [.asIs, .transposed]

  /// A factor whose rows have gaps, with NaN in them.
  private func factor(_ rows: Int, _ columns: Int, _ read: Transposition, gap: Int, salt: UInt64) -> Factor {
    let (rows, columns) = read == .asIs ? (rows, columns) : (columns, rows)
    let values = Shape(rows: rows, columns: columns, gap: 0).matrix(salt: salt)
    let buffer = FloatBuffer(count: rows * (columns + gap))
    let gaps = buffer.matrix(rows: rows, columns: columns + gap)
    fill(gaps, with: .nan)
    let rounded = gaps.rounded(to: .bf16).columns(0..<columns)
    convert(values, into: rounded)
    return rounded
  }

  @Test(arguments: [(1, 1, 1), (5, 19, 11), (37, 64, 37), (24, 4_099, 40)], [0, 3])
  func matchesNaive(sizes: (rows: Int, inner: Int, columns: Int), gap: Int) {
    let (rows, inner, columns) = sizes
    for ofA in Self.waysRound {
      for ofB in Self.waysRound {
        let a = factor(rows, inner, ofA, gap: gap, salt: 1)
        let b = factor(inner, columns, ofB, gap: gap, salt: 2)
        let (left, right) = (a.array.map(Double.init), b.array.map(Double.init))
        var expected = [[Double]](repeating: [Double](repeating: 0, count: columns), count: rows)
        for row in 0..<rows {
          for column in 0..<columns {
            for k in 0..<inner {
              let factor = ofA == .asIs ? left[row * inner + k] : left[k * rows + row]
              expected[row][column] += factor * (ofB == .asIs ? right[k * columns + column] : right[column * inner + k])
            }
          }
        }
        let c = Shape(rows: rows, columns: columns, gap: gap).matrix(salt: 3)
        let before = doubles(c)
        multiply(a, ofA, b, ofB, into: c)
        #expect(difference(doubles(c), expected) < 1e-5)
        convert(Shape(rows: rows, columns: columns, gap: gap).matrix(salt: 3), into: Factor(c))
        multiply(a, ofA, b, ofB, keep: 1, into: c)
        #expect(difference(doubles(c), zip(expected, before).map { zip($0, $1).map(+) }) < 1e-5)
        #expect(gapsAreWhole(c))
        let halves = FloatBuffer(count: rows * columns).factor(rows: rows, columns: columns, precision: .bf16)
        multiply(a, ofA, b, ofB, into: halves)
        #expect(difference(halves.array.map(Double.init), expected.flatMap { $0 }) < 0.004)
        let bias = Shape(rows: 1, columns: columns, gap: 0).rowVector(salt: 4)
        multiply(a, ofA, b, ofB, bias: bias, into: halves)
        let biased = expected.flatMap { zip($0, bias.array.map(Double.init)).map(+) }
        #expect(difference(halves.array.map(Double.init), biased) < 0.004)
      }
    }
  }

  /// 257 lies between the two bfloat16 256 and 258, and 257.75 is nearer to the second.
  @Test func aBiasIsAddedBeforeTheSumIsRounded() {
    func factor(_ values: [Float]) -> Factor {
      FloatBuffer(values).matrix(rows: 1, columns: values.count).rounded(to: .bf16)
    }
    let c = FloatBuffer(count: 1).factor(rows: 1, columns: 1, precision: .bf16)
    multiply(factor([256, 1]), .asIs, factor([1, 1]), .transposed, into: c)
    #expect(c.array == [256])
    multiply(factor([256, 1]), .asIs, factor([1, 1]), .transposed, bias: FloatBuffer([0.75]).vector, into: c)
    #expect(c.array == [258])
  }

  /// More shapes than a thread keeps kernels for, and the first ones again.
  @Test func kernelsThatWereLetGoOfAreMadeAgain() {
    let a = factor(1, 900, .asIs, gap: 0, salt: 1)
    func product(_ inner: Int) -> Float {
      let c = FloatBuffer(count: 1).matrix(rows: 1, columns: 1)
      multiply(a.columns(0..<inner), .asIs, a.columns(0..<inner), .transposed, into: c)
      return c[0, 0]
    }
    let first = (1...900).map(product)
    #expect((1...900).map(product) == first)
    #expect(abs(Double(first[899]) - a.array.map { Double($0) * Double($0) }.reduce(0, +)) < 1e-2)
  }

  @Test func theLibraryIsNamed() {
    #expect(OneDNN.release?.split(separator: ".").count == 3)
  }
}
