import Numerics

/// How a gradient moves the weights.
public enum OptimizerRule: Sendable, Hashable {
  /// Decoupled weight decay; PyTorch's `torch.optim.AdamW`.
  case adamW(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8)
  /// Weight decay added to the gradient; PyTorch's `torch.optim.SGD`.
  case sgd(momentum: Double = 0.9)
  /// SGD with each tensor's step in proportion to its weights; as in DINO.
  case lars(momentum: Double = 0.9, trust: Double = 0.001)

  /// The buffers of state, by PyTorch's names: those of the checkpoint's tensors.
  public var momentNames: [String] {
    switch self {
    case .adamW: ["exp_avg", "exp_avg_sq"]
    case .sgd: ["momentum_buffer"]
    case .lars: ["mu"]
    }
  }

  /// Floats that a step's update has to read or write for each weight: the norm reads the gradient; the rule reads weights,
  /// gradient and moments, and writes weights and moments; the teacher's average reads two and writes one; the digests of
  /// both networks read two.
  public var floatsPassedPerWeight: Int { 1 + (3 + 2 * momentNames.count) + 3 + 2 }
}

/// What an optimizer remembers between steps.
public struct OptimizerState: Sendable {
  /// Updates taken.
  public var steps: Int
  /// One buffer a name of `OptimizerRule.momentNames`, in the layout of the weights.
  public let moments: [FloatBuffer]

  /// - Parameter count: floats in the weights.
  public init(for rule: OptimizerRule, count: Int) {
    self.init(steps: 0, moments: rule.momentNames.map { _ in FloatBuffer(count: count) })
  }

  public init(steps: Int, moments: [FloatBuffer]) {
    self.steps = steps
    self.moments = moments
  }
}
