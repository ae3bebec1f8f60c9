import Evaluation
import Machine
import Telemetry

/// The network that an evaluation is about, and what it may use of the machine.
struct JudgedNetwork {
  let network: FrozenNetwork
  private let computeClass: ComputeClass
  private let cache: FeatureCache?

  /// Reads the network, and says what people should know of it. Call first of all: massl may have to start itself again.
  init(_ options: EvaluationOptions) throws { try self.init(options.network, cache: options.cacheFolder) }

  /// - Parameter folder: where features are kept; nil: nowhere.
  init(_ options: FrozenNetworkOptions, cache folder: String? = nil) throws {
    let file = try NetworkFile(options.weightsFile(), given: options.backbone.given)
    let trained = ComputeClass(file.configuration)
    // Frozen features are floats, whatever the products of training were.
    let isHere = Processor.classes.contains(trained) && trained.support(of: .fp32) != .none
    computeClass = isHere ? trained : Processor.bestClass(for: .fp32)
    try Relaunch.ensure(computeClass, .fp32)
    if !Processor.classes.contains(trained) {
      Self.say(
        "The run's compute_class is \(trained.rawValue), which this machine has not. Features are computed in "
          + "\(computeClass.rawValue): a figure's last digit may differ.")
    }
    network = try FrozenNetwork(file)
    for note in network.notes { Self.say(note) }
    cache = folder.map { FeatureCache($0) }
  }

  /// " at step 400", or nothing where the file does not say.
  var atStep: String { network.step.map { " at step \($0)" } ?? "" }

  /// Its features, with as many threads as processors and memory allow; says what that takes.
  /// - Parameter plan: what is about to be done, a sentence.
  /// - Throws: `EvaluationError.tooLarge`.
  func features(_ plan: String, needing memory: EvaluationMemory) throws -> FrozenFeatures {
    let allowance = Allowance.current
    let available = allowance.memory.usable
    let threads = try memory.threads(atMost: allowance.processors.usable, available: available)
    Self.say(
      "\(plan) That takes \(mebibytes(memory.bytes(threads: threads))) of the \(mebibytes(available)) of memory that "
        + "there are, with \(threads) thread\(threads == 1 ? "" : "s").")
    return FrozenFeatures(network, in: computeClass, cache: cache, threads: threads) { Self.say($0) }
  }

  private static func say(_ sentence: String) { Console.standardError.write(line: sentence) }
}
