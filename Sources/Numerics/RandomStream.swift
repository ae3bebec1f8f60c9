/// Random numbers that are a pure function of what they are for: no generator to save, no order to keep.

/// What random numbers are drawn for. The raw values are part of every run's identity: never change or reuse one.
public enum Purpose: UInt32, Sendable, CaseIterable {
  case initialization = 1
  case epochOrder = 2
  case memoryOrder = 3
  case augmentation = 4
  case dropPath = 5
  case seededRow = 6
  case synthesis = 7
  case audit = 8
  /// When a peer says hello again: no part of a run's result.
  case hello = 9
  /// Samples, splits, orders and starts of what judges features: no part of a run's result.
  case evaluation = 10
}

/// Names one stream of random numbers. Streams of different keys are independent.
public struct RandomKey: Hashable, Sendable {
  /// The run's.
  public var seed: UInt64
  public var purpose: Purpose
  /// The step or the epoch, whichever the purpose goes by.
  public var step: UInt64
  /// The image, or whatever else is numbered: a memory row, a tensor.
  public var image: UInt64
  public var view: UInt32

  public init(seed: UInt64, purpose: Purpose, step: UInt64 = 0, image: UInt64 = 0, view: UInt32 = 0) {
    self.seed = seed
    self.purpose = purpose
    self.step = step
    self.image = image
    self.view = view
  }

  /// Two Philox blocks, the second keyed by the first: all 256 bits count, and streams meet with odds of 2^-128.
  var mixed: SIMD4<UInt32> {
    let first = Philox.block(
      counter: SIMD4(step.low, step.high, purpose.rawValue, view), key: SIMD2(seed.low, seed.high))
    return Philox.block(counter: SIMD4(image.low, image.high, first.z, first.w), key: first.lowHalf)
  }
}

/// The numbers of one `RandomKey`, in order. A value: a copy goes on by itself from where it was copied.
///
///     var stream = RandomStream(RandomKey(seed: 1, purpose: .augmentation, step: epoch, image: image, view: view))
///     let flipped = stream.bool(probability: 0.5)
public struct RandomStream: Sendable {
  private let mixed: SIMD4<UInt32>
  private var words: SIMD4<UInt32> = .zero
  /// Words drawn so far; the block they come from is a quarter of it.
  private var position: UInt64 = 0
  /// The second of the pair of normal numbers that the last odd call made.
  private var spare: Double?

  public init(_ key: RandomKey) { mixed = key.mixed }

  public mutating func nextUInt32() -> UInt32 {
    let place = Int(truncatingIfNeeded: position & 3)
    if place == 0 {
      let block = position >> 2
      words = Philox.block(counter: SIMD4(block.low, block.high, mixed.z, mixed.w), key: mixed.lowHalf)
    }
    position &+= 1
    return words[place]
  }

  public mutating func nextUInt64() -> UInt64 {
    let low = UInt64(nextUInt32())
    return UInt64(nextUInt32()) << 32 | low
  }
}

// MARK: - Uniform

extension RandomStream {
  /// In [0, 1), a multiple of 2^-53. Two words.
  public mutating func uniform() -> Double { Double(nextUInt64() >> 11) * 0x1p-53 }

  /// In [0, 1), a multiple of 2^-24. One word.
  public mutating func uniformFloat() -> Float { Float(nextUInt32() >> 8) * 0x1p-24 }

  /// In [lower, upper]; the upper end only by rounding.
  public mutating func uniform(in range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * uniform()
  }

  /// In [lower, upper]; the upper end only by rounding.
  public mutating func uniform(in range: ClosedRange<Float>) -> Float {
    range.lowerBound + (range.upperBound - range.lowerBound) * uniformFloat()
  }

  /// In 0..<n, each equally likely: Lemire's product, draws that would favour some thrown away.
  ///
  /// - Precondition: n > 0.
  public mutating func integer(below n: Int) -> Int {
    invariant(n > 0, "an integer below \(n)")
    let bound = UInt64(n)
    var product = nextUInt64().multipliedFullWidth(by: bound)
    if product.low < bound {
      let unfair = (0 &- bound) % bound
      while product.low < unfair { product = nextUInt64().multipliedFullWidth(by: bound) }
    }
    return Int(product.high)
  }

  /// True with this probability; exactly never at 0 and always at 1.
  public mutating func bool(probability: Double) -> Bool { uniform() < probability }
}

// MARK: - Normal

extension RandomStream {
  /// Of mean 0 and deviation 1, at most 6.7 from 0: Box and Muller, one word a number.
  public mutating func normal() -> Double {
    if let spare {
      self.spare = nil
      return spare
    }
    // The radius' word is kept off 0, where the logarithm has no value.
    let radius = (-2 * logarithm((Double(nextUInt32()) + 0.5) * 0x1p-32)).squareRoot()
    let (cosine, sine) = cosineAndSine(turns: Double(nextUInt32()) * 0x1p-32)
    spare = radius * sine
    return radius * cosine
  }

  /// Normal of this mean and deviation, drawn again while outside `range` (which is absolute, not in deviations).
  ///
  /// - Precondition: `range` is within a few deviations of the mean; else this takes for ever.
  public mutating func truncatedNormal(
    mean: Double = 0, deviation: Double, in range: ClosedRange<Double> = -2...2
  ) -> Double {
    while true {
      let value = mean + deviation * normal()
      if range.contains(value) { return value }
    }
  }
}

extension UInt64 {
  var low: UInt32 { UInt32(truncatingIfNeeded: self) }
  var high: UInt32 { UInt32(truncatingIfNeeded: self >> 32) }
}
