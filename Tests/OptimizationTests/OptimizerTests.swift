import Foundation
import Numerics
import Optimization
import TestSupport
import Testing

@Suite struct OptimizerTests {
  /// Odd sizes; the first is longer than a chunk.
  static let tensors = [
    UpdateTensor(range: 0..<40_007, decays: true), UpdateTensor(range: 40_007..<40_020, decays: false),
    UpdateTensor(range: 40_020..<40_021, decays: true), UpdateTensor(range: 40_021..<40_120, decays: true),
  ]
  static let count = 40_120
  static let rules: [OptimizerRule] = [.adamW(), .sgd(), .lars()]

  /// Each rule as its paper writes it, tensor by tensor, in Double.
  struct Naive {
    var rule: OptimizerRule
    var clipNorm: Double?
    var weights: [Double]
    var first = [Double](repeating: 0, count: count)
    var second = [Double](repeating: 0, count: count)
    var steps = 0.0

    mutating func update(_ gradient: [Double], learningRate: Double, weightDecay: Double) {
      steps += 1
      for tensor in tensors {
        var g = tensor.range.map { gradient[$0] }
        if let clipNorm {
          let scale = min(1, clipNorm / (norm(g) + 1e-6))
          g = g.map { $0 * scale }
        }
        let decay = tensor.decays ? weightDecay : 0
        var trust = 1.0
        if case .lars(_, let eta) = rule, tensor.decays {
          let w = tensor.range.map { weights[$0] }
          trust = eta * norm(w) / norm(zip(g, w).map { $0 + decay * $1 })
        }
        for (i, g) in zip(tensor.range, g) {
          switch rule {
          case .adamW(let beta1, let beta2, let epsilon):
            first[i] = beta1 * first[i] + (1 - beta1) * g
            second[i] = beta2 * second[i] + (1 - beta2) * g * g
            let m = first[i] / (1 - pow(beta1, steps))
            let v = second[i] / (1 - pow(beta2, steps))
            weights[i] -= learningRate * (m / (v.squareRoot() + epsilon) + decay * weights[i])
          case .sgd(let momentum), .lars(let momentum, _):
            first[i] = momentum * first[i] + trust * (g + decay * weights[i])
            weights[i] -= learningRate * first[i]
          }
        }
      }
    }

    func norm(_ x: [Double]) -> Double { x.reduce(0) { $0 + $1 * $1 }.squareRoot() }
  }

  @Test(arguments: rules, [nil, 3] as [Double?]) func threeStepsMatchNaive(rule: OptimizerRule, clipNorm: Double?) {
    var random = RandomFloats(seed: 3)
    let optimizer = Optimizer(rule, tensors: Self.tensors, clipNorm: clipNorm)
    var weights = random.buffer(count: Self.count)
    var state = optimizer.makeState()
    var naive = Naive(rule: rule, clipNorm: clipNorm, weights: weights.array.map(Double.init))
    for step in 0..<3 {
      let gradient = random.buffer(count: Self.count, scale: step == 1 ? 0.01 : 1)
      let rate = 0.05 / Double(step + 1)
      let (old, newWeights) = (weights.array, FloatBuffer(count: Self.count))
      var newState = optimizer.makeState()
      let report = optimizer.update(
        weights, gradient: gradient, state: state, learningRate: rate, weightDecay: 0.1, into: newWeights, &newState)
      naive.update(gradient.array.map(Double.init), learningRate: rate, weightDecay: 0.1)
      #expect(weights.array == old)
      #expect(newState.steps == step + 1)
      #expect(abs(report.gradientNorm - naive.norm(gradient.array.map(Double.init))) < 1e-6 * report.gradientNorm)
      (weights, state) = (newWeights, newState)
      let worst = zip(weights.array, naive.weights).map { abs(Double($0) - $1) }.max()!
      #expect(worst < 2e-6, "step \(step)")
    }
  }

  @Test func onlyTensorsOverTheNormAreClipped() {
    var random = RandomFloats(seed: 4)
    let optimizer = Optimizer(.sgd(momentum: 0), tensors: Self.tensors, clipNorm: 3)
    let gradient = random.buffer(count: Self.count)  // norms: about 115, 2, 1 and 6
    let new = FloatBuffer(count: Self.count)
    var state = optimizer.makeState()
    let report = optimizer.update(
      FloatBuffer(count: Self.count), gradient: gradient, state: optimizer.makeState(), learningRate: 1,
      weightDecay: 0, into: new, &state)
    #expect(report.clippedTensors == 2)
    for (tensor, clipped) in zip(Self.tensors, [true, false, false, true]) {
      let range = tensor.range
      let norm = sumOfSquares(new.vector(at: range.lowerBound, count: range.count)).squareRoot()
      #expect(clipped ? abs(norm - 3) < 1e-5 : range.allSatisfy { new[$0] == -gradient[$0] })
    }
  }

  @Test(arguments: rules) func inPlaceGivesTheSameBits(rule: OptimizerRule) {
    var random = RandomFloats(seed: 5)
    let optimizer = Optimizer(rule, tensors: Self.tensors, clipNorm: 3)
    let (weights, gradient) = (random.buffer(count: Self.count), random.buffer(count: Self.count))
    let new = FloatBuffer(count: Self.count)
    var (state, inPlace) = (optimizer.makeState(), optimizer.makeState())
    optimizer.update(
      weights, gradient: gradient, state: optimizer.makeState(), learningRate: 0.1, weightDecay: 0.1, into: new, &state)
    optimizer.update(
      weights, gradient: gradient, state: inPlace, learningRate: 0.1, weightDecay: 0.1, into: weights, &inPlace)
    #expect(weights.digest == new.digest)
    #expect(inPlace.moments.map(\.digest) == state.moments.map(\.digest))
  }

  /// The chunks of a tensor follow from the table; where nothing is summed over a tensor they change no bit.
  @Test(arguments: [.adamW(), .sgd()] as [OptimizerRule]) func cuttingATensorChangesNoBits(rule: OptimizerRule) {
    var random = RandomFloats(seed: 6)
    let (weights, gradient) = (random.buffer(count: 40_007), random.buffer(count: 40_007))
    var digests = Set<Digest>()
    for cut in [1, 13, 16_384, 39_999] {
      let tensors = [UpdateTensor(range: 0..<cut, decays: true), UpdateTensor(range: cut..<40_007, decays: true)]
      let optimizer = Optimizer(rule, tensors: tensors, clipNorm: nil)
      let new = FloatBuffer(count: 40_007)
      var state = optimizer.makeState()
      optimizer.update(
        weights, gradient: gradient, state: optimizer.makeState(), learningRate: 0.1, weightDecay: 0.1, into: new,
        &state)
      digests.insert(new.digest)
    }
    #expect(digests.count == 1)
  }

  @Test func aGradientThatIsNotFiniteIsReported() {
    let optimizer = Optimizer(.adamW(), tensors: Self.tensors, clipNorm: 3)
    let gradient = FloatBuffer(count: Self.count)
    gradient[40_010] = .nan
    var state = optimizer.makeState()
    let report = optimizer.update(
      FloatBuffer(count: Self.count), gradient: gradient, state: optimizer.makeState(), learningRate: 1,
      weightDecay: 0, into: FloatBuffer(count: Self.count), &state)
    #expect(!report.gradientNorm.isFinite)
  }

  @Test func aTensorOfZerosTakesAnUntrustedLARSStep() {
    let tensors = [UpdateTensor(range: 0..<9, decays: true)]
    let optimizer = Optimizer(.lars(), tensors: tensors, clipNorm: nil)
    let (gradient, new) = (FloatBuffer([Float](repeating: 0.5, count: 9)), FloatBuffer(count: 9))
    var state = optimizer.makeState()
    optimizer.update(
      FloatBuffer(count: 9), gradient: gradient, state: optimizer.makeState(), learningRate: 1, weightDecay: 0.1,
      into: new, &state)
    #expect(new.array == [Float](repeating: -0.5, count: 9))
  }
}
